"""From a configuration file to a checked configuration that remembers where each of its parts was written.

The environment is an argument, and the files a configuration names are read here: what follows is pure. Whatever is
wrong with the content of a file, the answer is InvalidConfig with every mistake at its place.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from control_plane.config import errors
from control_plane.config.document import Document, read_document
from control_plane.config.errors import ConfigError, InvalidConfig, Location, Problem
from control_plane.config.explain import explained
from control_plane.config.marks import Marks
from control_plane.config.model import Config, FileKeys
from control_plane.config.resolve import resolve

LARGEST_CONFIGURATION = 16 * 2**20
LARGEST_REFERENCED_FILE = 2**20


@dataclass(frozen=True)
class Loaded:
    """A configuration, the places of its parts, and the content of the files it refers to, by the names it uses.

    `files` are all the files whose change may change what the configuration means.
    """

    config: Config
    marks: Marks
    files: frozenset[Path]
    referenced: Mapping[str, bytes]


class UnreadableFile(Exception):  # noqa: N818 - it is the file that is unreadable
    """A file that cannot be used, and the cure."""

    def __init__(self, message: str, cure: str) -> None:
        self.cure = cure
        super().__init__(message)


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """The configuration in the file; InvalidConfig with every mistake where there are any."""
    try:
        content = read_file(path, largest=LARGEST_CONFIGURATION)
    except UnreadableFile as error:
        place = Location(str(path), 1, 1)
        raise InvalidConfig([ConfigError(place, (), str(error), error.cure)], frozenset({path})) from error
    config, marks = read_configuration(content, str(path), environ)
    return _with_files(config, marks, path)


def read_configuration(content: bytes, file: str, environ: Mapping[str, str]) -> tuple[Config, Marks]:
    """The configuration in these bytes, without the files it names; `file` is what mistakes are reported under."""
    document = read_document(content, file)
    marks = Marks(document.root)
    return _config(document, marks, environ), marks


def read_file(path: Path, *, largest: int) -> bytes:
    """The content of a regular file; a device or pipe could block its reader for ever."""
    try:
        _check_regular(path.stat().st_mode)
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError as error:
        raise UnreadableFile("there is no such file", "check the path") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the path is malformed"
        raise UnreadableFile(f"cannot be read: {reason}", "check the path and its permissions") from error
    if len(content) > largest:
        raise UnreadableFile(f"is larger than {largest // 2**20} MiB", "check that it is the right file")
    return content


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableFile("is a directory", "name one file")
    if not stat.S_ISREG(mode):
        raise UnreadableFile("is no regular file", "name a regular file")


def _config(document: Document, marks: Marks, environ: Mapping[str, str]) -> Config:
    """The model of the document's data, or everything that is wrong with it."""
    resolved = resolve(document.root, environ)
    problems = list(resolved.problems)
    try:
        config = Config.model_validate(resolved.data)
    except ValidationError as error:
        problems += [problem for problem in explained(error, marks) if resolved.knows(problem.path)]
    else:
        if not document.errors and not problems:
            return config
    raise InvalidConfig((*document.errors, *map(marks.located, problems)))


def _with_files(config: Config, marks: Marks, path: Path) -> Loaded:
    """The configuration with the files it names, which are found from its own directory."""
    referenced: dict[str, bytes] = {}
    problems: list[Problem] = []
    names = _named_files(config)
    for place, name in names.items():
        try:
            referenced[name] = read_file(path.parent / name, largest=LARGEST_REFERENCED_FILE)
        except UnreadableFile as error:
            problems.append(Problem(place, f"{name}: {error}", error.cure))
    files = frozenset({path, *(path.parent / name for name in names.values())})
    if problems:
        raise InvalidConfig(map(marks.located, problems), files)
    return Loaded(config, marks, files, MappingProxyType(referenced))


def _named_files(config: Config) -> dict[errors.Path, str]:
    """The names of files, by the paths of the keys that hold them."""
    return {
        ("identity", "jwt", index, "keys", "file"): issuer.keys.file
        for index, issuer in enumerate(config.identity.jwt)
        if isinstance(issuer.keys, FileKeys)
    }
