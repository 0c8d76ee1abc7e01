"""Envoy as the first process of a container, and what else containers ask; the standard library alone."""
