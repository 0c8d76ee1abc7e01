"""One request on its way through the checks: what is known of it so far, and what a check may answer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from authz_service.challenge import challenge
from authz_service.identity import Grant
from authz_service.keys import Consumer, Stored
from authz_service.live_keys import Known
from authz_service.places import Change
from authz_service.policy import Policy
from authz_service.request import Ask
from authz_service.tokens import VerifiedTokens

# Parameters of the challenge that a refusal carries (RFC 6750, 3): none where nothing was presented.
CHALLENGE: Final = ""
INVALID_REQUEST_CHALLENGE: Final = 'error="invalid_request"'
INVALID_TOKEN_CHALLENGE: Final = 'error="invalid_token"'  # noqa: S105 - a word of the RFC


@dataclass(frozen=True, slots=True)
class Credential:
    """The one credential of a request, not yet believed, and the request without it."""

    kind: str
    token: bytes = field(repr=False)
    without: Change | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal: the client reads `code` and `message`, the log also `reason`; none of them quotes a credential.

    `challenge` holds what the challenge says beside the route's scheme; None: there is no challenge.
    `unknown_key_of` is an issuer that may have published, meanwhile, the key that the token names.
    """

    status: int
    code: str
    message: str
    challenge: str | None = None
    reason: str = ""
    unknown_key_of: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A request, the policy it is judged by, and what the checks have found so far.

    `would_deny` holds the refusals of demands that are only reported.
    """

    ask: Ask
    policy: Policy = field(repr=False)
    tokens: VerifiedTokens = field(repr=False)
    stored: Stored = field(repr=False)
    now: float
    credential: Credential | None = None
    grant: Grant | None = None
    would_deny: tuple[Denial, ...] = ()

    @property
    def known(self) -> Known:
        """Keys and consumers, declared and stored."""
        return Known(self.policy, self.stored)

    def consumer(self, name: str | None) -> Consumer | None:
        """The consumer that is known by this name, declared or stored."""
        return self.known.consumer(name)

    def lacking(self, denial: Denial, *, report: bool) -> "Case | Denial":
        """The refusal; where it is only to be reported, the case that remembers it."""
        return replace(self, would_deny=(*self.would_deny, denial)) if report else denial

    def challenge(self, denial: Denial) -> str | None:
        """The challenge of a refusal, as the route's kinds of credential have it."""
        if denial.challenge is None:
            return None
        return challenge(self.ask.accept, self.policy.key_settings, denial.challenge)


# The case, with what the check found out; or the refusal.
Check = Callable[[Case], Case | Denial]
