"""The last good key sets on disk."""

from pathlib import Path
from typing import Final

from control_plane.polling.kept import KeptAnswers
from service_kit.verification_keys import LARGEST_SET, public_jwks

FOLDER: Final = "key_sets"


def kept_sets(state_dir: Path) -> KeptAnswers[bytes]:
    """Sets by the name of their source."""
    return KeptAnswers(state_dir / FOLDER, written=bytes.decode, read=_read, largest=2 * LARGEST_SET)


def _read(text: str) -> bytes:
    return public_jwks(text).encode()
