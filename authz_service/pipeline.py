"""The rules of authorization in the order in which they are asked; the first refusal is the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from authz_service.case import Case, Check, Denial
from authz_service.checks.api_key import api_key
from authz_service.checks.bearer import bearer
from authz_service.checks.credential import credential
from authz_service.checks.jwt import jwt
from authz_service.checks.living_key import living_key
from authz_service.checks.mtls import mtls
from authz_service.checks.plan import plan
from authz_service.checks.plans import plans
from authz_service.checks.roles import roles
from authz_service.checks.scopes import scopes
from authz_service.identity import Grant

CHECKS: Final[tuple[Check, ...]] = (
    credential,  # what is presented, and only one of it: nothing else may choose between two
    jwt,  # who that is, if it is a JWT
    living_key,  # whether the API key lives that the token was given for, if the gateway gave it
    bearer,  # who that is, if it is a bearer token
    api_key,  # who that is, if it is an API key
    mtls,  # who that is, if it is the certificate of the connection
    plan,  # what the consumer has bought: before permissions, because an unknown plan fails on every route
    plans,  # whether the route belongs to that
    scopes,  # what the credential was issued for
    roles,  # what the caller is
)

UNDECIDED = Denial(503, "undecided", "The request could not be authorized: try again later.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case ended: its last state, and the refusal if there was one."""

    case: Case
    outcome: Grant | Denial


def decide(case: Case, checks: Sequence[Check] = CHECKS) -> Verdict:
    """The verdict on a case. Checks that let everything pass do not make an identity: then the answer is still no."""
    for check in checks:
        found = check(case)
        if isinstance(found, Denial):
            return Verdict(case, found)
        case = found
    return Verdict(case, UNDECIDED if case.grant is None else case.grant)
