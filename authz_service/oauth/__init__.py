"""The gateway as an authorization server (RFC 6749): tokens for API keys, and what verifies them."""
