"""`python -m ratelimit_service`."""

from ratelimit_service.main import main

if __name__ == "__main__":
    main()
