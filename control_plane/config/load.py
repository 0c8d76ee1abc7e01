"""From the files of a configuration to a checked configuration that remembers where each of its parts was written.

The environment is an argument, and the files a configuration names are read here: what follows is pure. Whatever is
wrong with the content of a file, the answer is InvalidConfig with every mistake at its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from control_plane.config import document as tree
from control_plane.config import errors, preset
from control_plane.config.authorities import NoAuthorities, system_authorities
from control_plane.config.document import Document, read_document
from control_plane.config.elements import Elements
from control_plane.config.errors import ENVIRONMENT, ConfigError, InvalidConfig, Location, Problem
from control_plane.config.explain import explained
from control_plane.config.files import (
    LARGEST_CONFIGURATION,
    LARGEST_REFERENCED_FILE,
    Digest,
    Given,
    Reading,
    UnreadableFile,
    digest_of,
)
from control_plane.config.inputs import Inputs, UsedVariables, recorded
from control_plane.config.marks import Marks
from control_plane.config.merge import merged
from control_plane.config.model import Config, FileKeys
from control_plane.config.resolve import resolve
from control_plane.reuse import Reused

# So often a reading begins again because a file changed meanwhile; whoever follows the files hears of the change too.
MOST_READINGS: Final = 5


@dataclass(frozen=True)
class Loaded:
    """A configuration, the places of its parts, and the content of the files it refers to, by the names it uses.

    `files` are all the files whose change may change what the configuration means, with what was read of them.
    """

    config: Config
    marks: Marks
    files: Mapping[Path, Digest]
    referenced: Mapping[str, bytes]
    warnings: tuple[str, ...] = ()
    inputs: Inputs = field(default=Inputs(), repr=False)


@dataclass
class Known:
    """What earlier configurations were made of: the trees of files, by name and digest, and the models of elements."""

    documents: Reused[tuple[str, bytes], Document] = field(default_factory=Reused)
    elements: Elements = field(default_factory=Elements)

    def begin(self) -> None:
        """From here on, another configuration is read."""
        self.documents.begin()
        self.elements.begin()


def source_place(path: Path | None) -> Location:
    """Where a mistake of the whole source is reported."""
    return Location(ENVIRONMENT, 0, 0) if path is None else Location(str(path), 1, 1)


def load(path: Path | None, environ: Mapping[str, str], known: Known | None = None) -> Loaded:
    """The configuration in the file or directory, or the environment's preset; InvalidConfig with every mistake.

    What is `known` from an earlier configuration is not parsed and validated again.
    """
    return _loaded(path, environ, None, known or Known())


def load_inputs(inputs: Inputs) -> Loaded:
    """The configuration that was once made of these, whatever the files hold now; it depends on none of them."""
    return _loaded(inputs.path, inputs.variables, inputs.given, Known())


def load_texts(path: Path, texts: Mapping[str, bytes], environ: Mapping[str, str]) -> Loaded:
    """The configuration of these texts in place of the files at `path`; what they refer to is read anew."""
    return _loaded(path, environ, Given({Path(name): text for name, text in texts.items()}), Known())


def _loaded(path: Path | None, environ: Mapping[str, str], given: Given | None, known: Known) -> Loaded:
    for _ in range(MOST_READINGS):
        reading, variables = Reading(given), UsedVariables(environ)
        try:
            found: Loaded | InvalidConfig = _read(path, variables, reading, known)
        except InvalidConfig as error:
            found = InvalidConfig(error.errors, reading.digests)
        if not reading.still_true():
            continue
        if isinstance(found, InvalidConfig):
            raise found
        return replace(found, inputs=recorded(path, reading, variables))
    raise InvalidConfig([ConfigError(source_place(path), (), "it changes while it is read", "write it in one step")])


def read_configuration(content: bytes, file: str, environ: Mapping[str, str]) -> tuple[Config, Marks]:
    """The configuration in these bytes; `file` is what mistakes are reported under, and where its files are found."""
    document = read_document(content, file)
    marks = Marks(document.root)
    return _config(document, marks, environ, Reading(), Elements()), marks


def _read(path: Path | None, environ: Mapping[str, str], reading: Reading, known: Known) -> Loaded:
    known.begin()
    if path is None:
        return _preset(environ, reading, known.elements)
    document = _document(path, reading, known.documents)
    marks = Marks(document.root)
    loaded = _with_files(_config(document, marks, environ, reading, known.elements), marks, environ, reading)
    known.documents.succeeded()
    return loaded


def _preset(environ: Mapping[str, str], reading: Reading, elements: Elements) -> Loaded:
    chosen = preset.chosen(environ)
    marks = Marks(chosen.document.root)
    try:
        config = _config(chosen.document, marks, {}, reading, elements)
        return replace(_with_files(config, marks, environ, reading), warnings=chosen.warnings)
    except InvalidConfig as error:
        raise InvalidConfig(map(preset.of_variables, error.errors)) from error


def _document(path: Path, reading: Reading, known: Reused[tuple[str, bytes], Document]) -> Document:
    """What the file says, or the files of the directory together."""
    try:
        files = reading.configuration_files(path)
    except UnreadableFile as error:
        raise _unreadable(str(path), error) from error
    if not files:
        nothing = UnreadableFile("the directory holds no configuration", "write a file *.yaml or *.yml into it")
        raise _unreadable(str(path), nothing)
    if files == (path,):
        return _parsed(_content(path, reading), path, read_document, known)
    return merged(_documents(files, reading, known), path)


def _documents(files: Sequence[Path], reading: Reading, known: Reused[tuple[str, bytes], Document]) -> list[Document]:
    """The documents of several files; InvalidConfig with the mistakes of all that cannot be read."""
    documents: list[Document] = []
    mistakes: list[ConfigError] = []
    size = values = 0
    for file in files:
        try:
            content = _content(file, reading)
            documents.append(_parsed(content, file, part, known))
        except InvalidConfig as error:
            mistakes += error.errors
            continue
        size += len(content)
        values += documents[-1].values
        if size > LARGEST_CONFIGURATION:
            raise _unreadable(str(file), _too_large(f"are larger than {LARGEST_CONFIGURATION // 2**20} MiB"))
        if values > tree.MOST_VALUES:
            raise _unreadable(str(file), _too_large(f"hold more than {tree.MOST_VALUES} values"))
    if mistakes:
        raise InvalidConfig((*mistakes, *(error for document in documents for error in document.errors)))
    return documents


def _parsed(
    content: bytes, file: Path, parse: Callable[[bytes, str], Document], known: Reused[tuple[str, bytes], Document]
) -> Document:
    key = str(file), digest_of(content)
    document = known.get(key)
    if document is None:
        document = known[key] = parse(content, str(file))
    return document


def part(content: bytes, file: str) -> Document:
    """What one of several files says; all of it may be comments, but a file without anything is one half-written."""
    lines = [line.strip() for line in content.splitlines()]
    if any(lines) and all(line.startswith(b"#") or not line for line in lines):
        return Document(tree.Mapping(Location(file, 1, 1), {}, 1))
    return read_document(content, file)


def _content(file: Path, reading: Reading) -> bytes:
    try:
        return reading.content(file, largest=LARGEST_CONFIGURATION)
    except UnreadableFile as error:
        raise _unreadable(str(file), error) from error


def _too_large(how: str) -> UnreadableFile:
    return UnreadableFile(f"the files of the directory {how} in all", "check that they are the right files")


def _unreadable(name: str, error: UnreadableFile) -> InvalidConfig:
    return InvalidConfig([ConfigError(Location(name, 1, 1), (), str(error), error.cure)])


def _config(
    document: Document, marks: Marks, environ: Mapping[str, str], reading: Reading, elements: Elements
) -> Config:
    """The model of the document's data, or everything that is wrong with it."""
    resolved = resolve(document.root, environ, reading, elements)
    problems = list(resolved.problems)
    try:
        config = Config.model_validate(resolved.data)
    except ValidationError as error:
        problems += [problem for problem in explained(error, marks) if resolved.knows(problem.path)]
    else:
        if not document.errors and not problems:
            elements.validated(config)
            return config
    raise InvalidConfig((*document.errors, *map(marks.located, problems)))


def _with_files(config: Config, marks: Marks, environ: Mapping[str, str], reading: Reading) -> Loaded:
    """The configuration with the files it names, which are found from the directory of the file that names them."""
    referenced: dict[str, bytes] = {}
    problems: list[Problem] = []
    for place, name in _named_files(config).items():
        try:
            file = Path(marks.at(place).file).parent / name
            referenced[name] = reading.content(file, largest=LARGEST_REFERENCED_FILE)
        except UnreadableFile as error:
            problems.append(Problem(place, f"{name}: {error}", error.cure))
    try:
        referenced.update(system_authorities(config, environ, reading))
    except NoAuthorities as error:
        problems.append(error.problem)
    if problems:
        raise InvalidConfig(map(marks.located, problems))
    return Loaded(config, marks, MappingProxyType(reading.digests), MappingProxyType(referenced))


def _named_files(config: Config) -> dict[errors.Path, str]:
    """The names of files, by the paths of the keys that hold them."""
    return {
        ("identity", "jwt", index, "keys", "file"): issuer.keys.file
        for index, issuer in enumerate(config.identity.jwt)
        if isinstance(issuer.keys, FileKeys)
    }
