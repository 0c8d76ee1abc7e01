"""A log of JSON lines that is read as it grows, through its renaming, as operators' tools do."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class FollowedLog:
    """The lines from here on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._file.seek(0, 2)
        self._rest = b""

    def new(self) -> Iterator[dict[str, Any]]:
        """What was written since the last call."""
        data = self._read()
        *whole, self._rest = data.split(b"\n")
        yield from map(json.loads, whole)

    def close(self) -> None:
        self._file.close()

    def _read(self) -> bytes:
        data = self._rest + self._file.read()
        if self._path.exists() and not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
            data += self._file.read()
            self._file.close()
            self._file = self._path.open("rb")
            data += self._file.read()
        return data
