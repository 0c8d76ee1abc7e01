"""Demands every scope that the route names, element by element: `email.sender` is not `email.send`."""

from authz_service.case import Case, Denial


def scopes(case: Case) -> Case | Denial:
    """The case, where its grant holds every scope of the route."""
    held = frozenset[str]() if case.grant is None else case.grant.scopes
    lacking = [scope for scope in case.ask.scopes if scope not in held]
    if not lacking:
        return case
    demanded = " ".join(case.ask.scopes)
    denial = Denial(
        403,
        "missing_scope",
        f"The credential lacks {' '.join(lacking)}: ask its issuer for the scope.",
        f'error="insufficient_scope", scope="{demanded}"',
    )
    return case.lacking(denial, report=case.ask.report)
