"""The last good sets on disk, each in a file of its own, from which a start goes on while an issuer is away."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from control_plane.config.files import UnreadableFile, read_file
from service_kit.private_files import replace_private
from service_kit.strict_json import strict_object
from service_kit.verification_keys import LARGEST_SET, UnusableKeys, public_jwks

FOLDER: Final = "key_sets"


@dataclass(frozen=True)
class KeptSet:
    """A set, and when it was fetched; seconds since the epoch."""

    keys: bytes
    fetched_at: float


class KeptSets:
    """Sets by the name of their source; blocking."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER

    def load(self, name: str) -> KeptSet | None:
        """The set of this source; None where there is none that can be trusted to be it."""
        try:
            kept = strict_object(read_file(self._file(name), largest=2 * LARGEST_SET).decode())
            keys, at = kept.get("set"), kept.get("fetched_at")
            if kept.get("source") != name or not isinstance(keys, str) or not isinstance(at, int | float):
                return None
            return KeptSet(public_jwks(keys).encode(), float(at))
        except (UnreadableFile, UnusableKeys, ValueError):
            return None

    def save(self, name: str, kept: KeptSet) -> None:
        """Replaces the set in one step; OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps({"source": name, "fetched_at": kept.fetched_at, "set": kept.keys.decode()})
        replace_private(self._file(name), text.encode())

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}.json"
