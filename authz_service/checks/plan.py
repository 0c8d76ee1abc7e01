"""Settles consumer, tenant and plan: a known consumer's own first, then the credential's, then the default plan.

A consumer, declared or stored, is found by the name that a credential gives on purpose, never by its subject: where
users choose their subject, they would choose their plan. A subject that is called like a consumer has no consumer.
"""

from dataclasses import replace

from authz_service.case import Case, Denial
from authz_service.keys import Consumer

_UNKNOWN = Consumer(tenant=None, plan=None)
UNKNOWN_PLAN = Denial(
    403,
    "unknown_plan",
    "Your plan is not one of this gateway's: ask its administrator to declare it or to change yours.",
)


def plan(case: Case) -> Case | Denial:
    """The case with tenant and plan settled. No plan at all is allowed; one that nobody declared is not."""
    if case.grant is None:
        return case
    grant = case.grant
    known = case.consumer(grant.named_consumer) or _UNKNOWN
    consumer = grant.consumer if grant.named_consumer or case.consumer(grant.consumer) is None else None
    chosen = grant.assigned_plan or known.plan or grant.plan or case.policy.default_plan
    if chosen is not None and chosen not in case.policy.plans:
        return UNKNOWN_PLAN
    return replace(case, grant=replace(grant, consumer=consumer, tenant=known.tenant or grant.tenant, plan=chosen))
