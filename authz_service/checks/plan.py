"""Settles tenant and plan: a declared consumer's own come first, then the credential's, then the default plan."""

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
    declared = case.policy.consumers.get(grant.consumer, _UNDECLARED) if grant.consumer else _UNDECLARED
    chosen = declared.plan or grant.plan or case.policy.default_plan
    if chosen is not None and chosen not in case.policy.plans:
        return UNKNOWN_PLAN
    return replace(case, grant=replace(grant, tenant=declared.tenant or grant.tenant, plan=chosen))
