from bench.ratelimit.main import main

main()
