"""The ledger of usage."""

from dataclasses import dataclass

from control_plane.ir.model.identity import Demand


@dataclass(frozen=True)
class Ledger:
    """How many seconds rows are kept, and where consumers read their own usage with what.

    None: the audit trail is kept for good.
    """

    retention: int
    audit_retention: int | None
    usage_path: str
    demand: Demand
