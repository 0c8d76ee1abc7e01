"""The token of the admin API: the configuration's, or one generated on first run into the state directory."""

import hmac
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

FILE_NAME = "admin-token"


def stored_token(state_dir: Path) -> str:
    """The token kept in the state directory, made on first use, readable by its owner alone.

    It is never empty: a file without a token, as a full disk leaves one, is replaced.
    """
    file = state_dir / FILE_NAME
    with suppress(FileNotFoundError):
        if token := file.read_text().strip():
            return token
    token = secrets.token_urlsafe(32)
    descriptor, fresh = tempfile.mkstemp(prefix=FILE_NAME, dir=state_dir)  # created 0600
    with os.fdopen(descriptor, "w") as opened:
        opened.write(token + "\n")
    Path(fresh).replace(file)
    return token


def presents(authorization: str, token: str) -> bool:
    """Whether the value of this `authorization` header or metadata is the token as a bearer's (RFC 6750)."""
    scheme, _, presented = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(presented.encode(), token.encode())
