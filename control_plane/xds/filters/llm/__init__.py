"""What Envoy does for calls of language models, beside counting their tokens."""
