"""How long rows are kept: what the configuration says, as the control plane tells it."""

from collections.abc import Collection, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from service_kit.contract import LEDGER_POLICY_NAME, LEDGER_POLICY_TYPE
from service_kit.subscription import PolicyRejected
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# Seconds, where the configuration says nothing: a year, and a month to look back at it.
USUAL_RETENTION: Final = 400 * 86_400


class RetentionPolicy:
    """The policy in force; the one place where it is exchanged."""

    def __init__(self) -> None:
        # None: nobody has said yet, and what goes does not come back.
        self.seconds: int | None = None
        # Of the audit trail; None: it is kept for good.
        self.audit_seconds: int | None = None

    @property
    def awaits(self) -> Collection[str]:
        """A ledger knows no keys."""
        return ()

    def apply(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Takes a change whole or not at all."""
        if type_url != LEDGER_POLICY_TYPE or not {*changed, *removed} <= {LEDGER_POLICY_NAME}:
            raise PolicyRejected(f"the ledger takes one {LEDGER_POLICY_TYPE} named {LEDGER_POLICY_NAME!r}")
        said = [_retention(raw) for raw in changed.values()]
        if said:
            self.seconds, self.audit_seconds = said[-1]
        elif removed or self.seconds is None:
            self.seconds, self.audit_seconds = USUAL_RETENTION, None


def _retention(raw: bytes) -> tuple[int, int | None]:
    message = policy_pb.LedgerPolicy()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise PolicyRejected("not a LedgerPolicy") from error
    if not message.retention_seconds:
        raise PolicyRejected("the retention is missing")
    return message.retention_seconds, message.audit_retention_seconds or None
