"""`python -m authz_service`."""

from authz_service.main import main

if __name__ == "__main__":
    main()
