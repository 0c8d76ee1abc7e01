"""One request on its way through the checks: what is known of it so far, and what a check may answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from authz_service.identity import Grant
from authz_service.policy import Policy
from authz_service.request import Ask
from authz_service.tokens import VerifiedTokens

# RFC 6750 3: the challenge of a refused bearer credential, of whichever kind.
CHALLENGE: Final = 'Bearer realm="tollgate"'
INVALID_TOKEN_CHALLENGE: Final = f'{CHALLENGE}, error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Credential:
    """The one credential of a request, not yet believed."""

    kind: str
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal: the client reads `code` and `message`, the log also `reason`; none of them quotes a credential."""

    status: int
    code: str
    message: str
    challenge: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A request, the policy it is judged by, and what the checks have found so far."""

    ask: Ask
    policy: Policy
    tokens: VerifiedTokens
    now: float
    credential: Credential | None = None
    grant: Grant | None = None


# The case, with what the check found out; or the refusal.
Check = Callable[[Case], Case | Denial]
