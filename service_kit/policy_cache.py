"""The last good policies of a service on disk, from which it starts while the control plane is away.

The file holds secrets (0600) and is replaced whole. A file that is torn, foreign or of another format is no cache at
all: its checksum or shape tells, and the service waits for the control plane instead.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service_kit.private_files import replace_private

FORMAT = "tollgate-policies-1"


class CacheError(Exception):
    """A cache file that cannot be used."""


@dataclass(frozen=True)
class Held:
    """A policy as it was applied."""

    version: str
    body: bytes = field(repr=False)


# Applied policies by type and name; a type that is there with no policy was applied empty.
Policies = Mapping[str, Mapping[str, Held]]


def load_policies(path: Path) -> Policies | None:
    """The cached policies, None where no file is; CacheError where there is one that cannot be trusted."""
    try:
        return _decoded(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise CacheError(f"{path}: {error}") from error


def save_policies(path: Path, policies: Policies) -> None:
    """Replaces the file in one step, readable by its owner alone."""
    replace_private(path, _encoded(policies))


class PolicyFile:
    """The applied policies of some types in one file: of a few, the whole file is what is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, dict[str, Held]] = {}

    def load(self) -> Policies:
        """What was applied, by type and name; CacheError where the file cannot be trusted."""
        self._held = {type_url: dict(named) for type_url, named in (load_policies(self._path) or {}).items()}
        return {type_url: dict(named) for type_url, named in self._held.items()}

    def write(self, type_url: str, changed: Mapping[str, Held], removed: Collection[str]) -> None:
        """Writes a change down; CacheError where it cannot be now."""
        named = self._held.setdefault(type_url, {})
        named.update(changed)
        for name in removed:
            named.pop(name, None)
        try:
            save_policies(self._path, self._held)
        except OSError as error:
            raise CacheError(str(error)) from error

    def forget(self, type_url: str) -> None:
        """What is on disk of a type is not used; it goes with the next change."""
        self._held.pop(type_url, None)


def _encoded(policies: Policies) -> bytes:
    document = {
        type_url: {name: [held.version, base64.b64encode(held.body).decode()] for name, held in named.items()}
        for type_url, named in policies.items()
    }
    text = json.dumps(document, sort_keys=True).encode()
    return b"\n".join((FORMAT.encode(), _checksum(text), text))


def _decoded(data: bytes) -> Policies:
    head, checksum, text = data.split(b"\n", 2)
    if head != FORMAT.encode() or checksum != _checksum(text):
        raise ValueError("torn, or not a policy cache of this version")
    return {
        type_url: {name: Held(version, base64.b64decode(body)) for name, (version, body) in named.items()}
        for type_url, named in json.loads(text).items()
    }


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
