"""The token of the admin API: the configuration's, or one generated on first run into the state directory."""

import hmac
import secrets
from pathlib import Path

from service_kit.private_files import kept_secret

FILE_NAME = "admin-token"


def stored_token(state_dir: Path) -> str:
    """The token kept in the state directory, made on first use, readable by its owner alone.

    It is never empty: a file without a token, as a full disk leaves one, is replaced.
    """
    return kept_secret(state_dir / FILE_NAME, lambda: secrets.token_urlsafe(32))


def presents(authorization: str, token: str) -> bool:
    """Whether the value of this `authorization` header or metadata is the token as a bearer's (RFC 6750)."""
    scheme, _, presented = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(presented.encode(), token.encode())
