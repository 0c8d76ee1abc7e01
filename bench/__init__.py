"""What a request costs, side by side in one run: `make bench`.

A tool of the source tree: like the tests it may use `tests.support`, and nothing imports it but its own tests.
"""
