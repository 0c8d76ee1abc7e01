from bench.llm.main import main

main()
