"""Why no token is issued, in the words of RFC 6749, 5.2; the reason is for the log."""

from typing import Final

INVALID_REQUEST: Final = "invalid_request"
INVALID_CLIENT: Final = "invalid_client"
INVALID_SCOPE: Final = "invalid_scope"
UNAUTHORIZED_CLIENT: Final = "unauthorized_client"
UNSUPPORTED_GRANT_TYPE: Final = "unsupported_grant_type"
# No word of the RFC for this endpoint: that of the other one (4.1.2.1).
UNAVAILABLE: Final = "temporarily_unavailable"

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401


class Refused(Exception):  # noqa: N818 - a verdict on a request, answered in app.py
    """A request that gets no token: a code and a description for the client, a reason for the log.

    None of them quotes what was sent. `scheme` is the one by which the client has authenticated in `Authorization`.
    """

    def __init__(
        self, code: str, description: str, *, reason: str = "", status: int = BAD_REQUEST, scheme: str | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.description = description
        self.reason = reason
        self.status = status
        self.scheme = scheme


def unknown_client(reason: str, scheme: str | None) -> Refused:
    """One answer for all that is wrong with a client's credential."""
    return Refused(
        INVALID_CLIENT,
        "The API key is not accepted: check it, or ask for a new one.",
        reason=reason,
        status=UNAUTHORIZED,
        scheme=scheme,
    )


def bad_request(description: str) -> Refused:
    """A request that cannot be read, or not in one way only."""
    return Refused(INVALID_REQUEST, description)
