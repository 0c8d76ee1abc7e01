"""The token of the admin API: the configuration's, or one generated on first run into the state directory."""

import os
import secrets
from pathlib import Path

FILE_NAME = "admin-token"


def stored_token(state_dir: Path) -> str:
    """The token kept in the state directory, made on first use, readable by its owner alone."""
    file = state_dir / FILE_NAME
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(descriptor, "w") as opened:
        token = secrets.token_urlsafe(32)
        opened.write(token + "\n")
    return token
