"""The ledger's policy."""

from control_plane.ir import model as ir
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb


def ledger_policy(ledger: ir.Ledger) -> policy_pb.LedgerPolicy:
    return policy_pb.LedgerPolicy(
        retention_seconds=ledger.retention, audit_retention_seconds=ledger.audit_retention or 0
    )
