"""The audit trail in the ledger: who changed what, when and from where, in a chain of its own beside the calls'."""
