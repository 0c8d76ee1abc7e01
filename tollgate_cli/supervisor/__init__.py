"""Starts the processes of one gateway on one host, keeps them alive, and stops them without losing a request."""
