"""`python -m llm_translator`."""

from service_kit.collector import without_collections

with without_collections():  # what is imported lives as long as the process
    from llm_translator.main import main

if __name__ == "__main__":
    main()
