"""Settles consumer, tenant and plan: a declared consumer's own first, then the credential's, then the default plan.

A declared consumer is found by the name that a credential gives on purpose, never by its subject: where users choose
their subject, they would choose their plan. A subject that is called like a declared consumer has no consumer.
"""

from dataclasses import replace

from authz_service.case import Case, Denial
from authz_service.policy import Consumer

_UNDECLARED = Consumer(tenant=None, plan=None)
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
    consumers = case.policy.consumers
    declared = consumers.get(grant.named_consumer, _UNDECLARED) if grant.named_consumer else _UNDECLARED
    consumer = grant.consumer if grant.named_consumer or grant.consumer not in consumers else None
    chosen = declared.plan or grant.plan or case.policy.default_plan
    if chosen is not None and chosen not in case.policy.plans:
        return UNKNOWN_PLAN
    return replace(case, grant=replace(grant, consumer=consumer, tenant=declared.tenant or grant.tenant, plan=chosen))
