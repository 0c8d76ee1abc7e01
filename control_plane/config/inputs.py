"""All that a configuration was made of: what its files held, and the variables that it asked for.

With them the same configuration can be made again when the files are gone or broken. They hold every secret.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from control_plane.config.files import Digest, Given, Reading, UnreadableFile, configuration_files, digest, digest_of


@dataclass(frozen=True)
class Inputs:
    """The configuration's own files, the files they refer to, and the variables that were asked for and set.

    `path` is the file or directory; None where the environment's preset was read, which has no files of its own.
    """

    path: Path | None = None
    texts: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    referenced: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def digest(self) -> str:
        """All of it in short."""
        parts = [
            *(("text", str(file), content) for file, content in self.texts.items()),
            *(("file", str(file), content) for file, content in self.referenced.items()),
            *(("variable", name, value.encode("utf-8", "surrogatepass")) for name, value in self.variables.items()),
        ]
        return _short(sorted(parts))

    @cached_property
    def source_digest(self) -> str:
        """The configuration's own files in short, as `source_digest(path)` says it of those on disk."""
        return digest_of_files({file: digest_of(text) for file, text in self.texts.items()})

    @property
    def given(self) -> Given:
        """These contents in place of the disk's."""
        return Given(self.texts, self.referenced)


class UsedVariables(Mapping[str, str]):
    """An environment that remembers which of its variables were asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.used: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        self.used[name] = self._environ[name]
        return self.used[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def recorded(path: Path | None, reading: Reading, variables: UsedVariables) -> Inputs:
    """What was read by now."""
    contents = reading.contents
    texts = {file: contents[file] for file in reading.listed if file in contents}
    referenced = {file: content for file, content in contents.items() if file not in texts}
    return Inputs(path, MappingProxyType(texts), MappingProxyType(referenced), MappingProxyType(variables.used))


def source_digest(path: Path | None) -> str:
    """The configuration's own files as they are on disk, in short, whether or not they can be used."""
    try:
        files = () if path is None else configuration_files(path)
    except UnreadableFile:
        files = ()
    return digest_of_files({file: digest(file) for file in files})


def digest_of_files(files: Mapping[Path, Digest]) -> str:
    """Names and contents of files in short."""
    return _short(("file", str(file), content or b"") for file, content in sorted(files.items()))


def _short(parts: Iterable[tuple[str, str, bytes]]) -> str:
    """A hash in which no part can pass for another one."""
    whole = hashlib.blake2b(digest_size=16)
    for kind, name, content in parts:
        for value in (kind.encode(), name.encode("utf-8", "surrogatepass"), content):
            whole.update(len(value).to_bytes(8))
            whole.update(value)
    return whole.hexdigest()
