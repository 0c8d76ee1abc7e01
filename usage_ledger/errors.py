"""What is wrong with the ledger's database, and the cure.

LedgerUnavailable: it cannot be asked now. LedgerUnusable: trying again will not help.
"""


class LedgerUnavailable(Exception):  # noqa: N818 - what the operator reads, not a fault of the program
    """The database cannot be used now; nothing of what was asked was done."""


class LedgerUnusable(LedgerUnavailable):
    """The database is not one to work with; the message names the cure."""
