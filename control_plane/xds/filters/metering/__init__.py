"""What a metered call asks for and came to, read by Envoy from both bodies."""
