"""The ledger as it is meant."""

from control_plane.config import model as config
from control_plane.ir import model as ir
from control_plane.ir.rules import demand


def reading_usage(source: config.Config) -> tuple[str, ...]:
    """The credentials with which a consumer reads its own usage; none where nobody can."""
    auth = source.defaults.auth
    return () if source.ledger is None or auth is None or auth == "none" else tuple(sorted(set(auth)))


def ledger(source: config.Config) -> ir.Ledger | None:
    """The ledger, where the configuration says something of it and can be enforced."""
    asked = demand(reading_usage(source), config.Require())
    if source.ledger is None or asked is None:
        return None
    return ir.Ledger(source.ledger.retention, source.ledger.audit_retention, source.ledger.usage_path, asked)
