from bench.xds.main import main

main()
