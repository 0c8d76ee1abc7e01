"""Demands one of the roles that the route names."""

from authz_service.case import Case, Denial


def roles(case: Case) -> Case | Denial:
    """The case, where its grant holds any role of the route, or the route names none."""
    held = frozenset[str]() if case.grant is None else case.grant.roles
    if not case.ask.roles or not held.isdisjoint(case.ask.roles):
        return case
    denial = Denial(
        403, "missing_role", f"This route is for the roles {' or '.join(case.ask.roles)}: ask for one of them."
    )
    return case.lacking(denial, report=case.ask.report)
