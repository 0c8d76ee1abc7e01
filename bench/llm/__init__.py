"""What calls of language models cost: `make bench-llm`."""
