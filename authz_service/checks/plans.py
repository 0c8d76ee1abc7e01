"""Demands one of the plans that the route names."""

from authz_service.case import Case, Denial


def plans(case: Case) -> Case | Denial:
    """The case, where its plan is one of the route's, or the route names none."""
    plan = None if case.grant is None else case.grant.plan
    if not case.ask.plans or plan in case.ask.plans:
        return case
    denial = Denial(
        403, "missing_plan", f"This route is for the plans {' or '.join(case.ask.plans)}: ask for one of them."
    )
    return case.lacking(denial, report=case.ask.report)
