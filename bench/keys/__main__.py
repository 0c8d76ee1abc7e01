from bench.keys.main import main

main()
