"""The last good answers on disk, each in a file of its own, from which a start goes on while a source is away."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from control_plane.config.files import UnreadableFile, read_file
from service_kit.private_files import replace_private
from service_kit.strict_json import strict_object

Found = TypeVar("Found")


@dataclass(frozen=True)
class Kept(Generic[Found]):
    """An answer, and when it was fetched; seconds since the epoch."""

    found: Found
    at: float


class KeptAnswers(Generic[Found]):
    """Answers by the name of their source; blocking. `read` raises ValueError for what is no answer as `written`."""

    def __init__(
        self, folder: Path, *, written: Callable[[Found], str], read: Callable[[str], Found], largest: int
    ) -> None:
        self._folder = folder
        self._written = written
        self._read = read
        self._largest = largest

    def load(self, name: str) -> Kept[Found] | None:
        """The answer of this source; None where there is none that can be trusted to be it."""
        try:
            kept = strict_object(read_file(self._file(name), largest=self._largest).decode())
            text, at = kept.get("set"), kept.get("fetched_at")
            if kept.get("source") != name or not isinstance(text, str) or not isinstance(at, int | float):
                return None
            return Kept(self._read(text), float(at))
        except (UnreadableFile, ValueError):
            return None

    def save(self, name: str, kept: Kept[Found]) -> None:
        """Replaces the answer in one step; OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps({"source": name, "fetched_at": kept.at, "set": self._written(kept.found)})
        replace_private(self._file(name), text.encode())

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}.json"
