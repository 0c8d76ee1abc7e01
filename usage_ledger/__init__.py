"""The ledger: Envoy's access log in SQL, a row a request, each once, chained by hashes.

Errors: LedgerUnavailable, LedgerUnusable (errors.py)
"""
