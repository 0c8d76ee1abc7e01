"""The rules of authorization, one a file; pipeline.py says in which order they are asked."""
