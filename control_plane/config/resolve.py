"""The data of a document: plain values for the model, with the environment and the secrets of files put in.

An element that was validated before stands in the data as the model that was made of it.
"""

from collections.abc import Mapping as Environment
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from control_plane.config.document import Mapping, Node, Scalar, Sequence
from control_plane.config.elements import Elements, is_element
from control_plane.config.errors import Path, Problem
from control_plane.config.expected import expects_keys, expects_names, expects_secret
from control_plane.config.files import LARGEST_CONFIGURATION, LARGEST_REFERENCED_FILE, Reading, UnreadableFile
from control_plane.config.scalars import (
    BadScalar,
    plain_value,
    refers_to_environment,
    substituted,
    with_writable_characters,
)

# Stands in the data where a mistake is already known; the model refuses it, and that refusal is not reported.
UNUSABLE = object()
IN_FILE: Final = "file:"
PEM: Final = "-----BEGIN "


@dataclass
class Resolved:
    """Data, the mistakes found on the way, and the paths at which nothing can be said about the data.

    `variables` counts the values that are not in the file alone; `grown`, by how many characters they made it longer.
    """

    data: object = field(default=UNUSABLE, repr=False)  # holds secrets
    problems: list[Problem] = field(default_factory=list)
    unusable: set[Path] = field(default_factory=set)
    variables: int = 0
    grown: int = 0

    def knows(self, path: Path) -> bool:
        """Whether what stands at the path is what was meant."""
        return not any(path[:length] in self.unusable for length in range(len(path) + 1))


def resolve(root: Node, environ: Environment[str, str], reading: Reading, elements: Elements) -> Resolved:
    """The data of the tree; every mistake is kept, none ends the work."""
    resolved = Resolved()
    resolved.data = _Resolver(environ, reading, resolved, elements).data(root, ())
    return resolved


@dataclass(frozen=True)
class _Resolver:
    environ: Environment[str, str]
    reading: Reading
    resolved: Resolved
    elements: Elements

    def data(self, node: Node, path: Path) -> object:
        return self._element(node, path) if is_element(path) else self._plain(node, path)

    def _element(self, node: Node, path: Path) -> object:
        if (known := self.elements.of_node(path, node)) is not None:
            return known
        variables, mistakes = self.resolved.variables, len(self.resolved.problems)
        data = self._plain(node, path)
        if len(self.resolved.problems) > mistakes:
            return data
        return self.elements.of_data(path, node, data, constant=self.resolved.variables == variables)

    def _plain(self, node: Node, path: Path) -> object:
        if isinstance(node, Mapping):
            return {key: self.data(entry.value, (*path, key)) for key, entry in node.entries.items()}
        if isinstance(node, Sequence):
            return tuple(self.data(item, (*path, index)) for index, item in enumerate(node.items))
        if isinstance(node, Scalar):
            return self._scalar(node, path)
        self.resolved.unusable.add(path)
        return UNUSABLE

    def _scalar(self, node: Scalar, path: Path) -> object:
        try:
            if refers_to_environment(node.text):
                self.resolved.variables += 1
            text = self._substituted(node.text)
            # What the file says decides, not what a variable holds: none makes the gateway read a file.
            if node.text.startswith(IN_FILE) and expects_secret(path):
                return self._secret(text.removeprefix(IN_FILE), node)
            value = plain_value(text) if node.plain else text
            if value is None:
                raise _no_value(node, path)
        except BadScalar as error:
            self.resolved.problems.append(Problem(path, str(error), error.cure))
            self.resolved.unusable.add(path)
            return UNUSABLE
        return value

    def _substituted(self, text: str) -> str:
        """The text with its variables, which together do not make of a small file a large one."""
        value = substituted(text, self.environ)
        self.resolved.grown += max(len(value) - len(text), 0)
        if self.resolved.grown > LARGEST_CONFIGURATION:
            message = f"variables make the configuration larger by more than {LARGEST_CONFIGURATION // 2**20} MiB"
            raise BadScalar(message, "name them less often")
        return value

    def _secret(self, name: str, node: Scalar) -> str:
        """The content of the file, which is found from the directory of the YAML file that names it."""
        self.resolved.variables += 1
        if not name:
            raise BadScalar("there is no path after `file:`", "write file:/path/to/secret")
        named = node.text.removeprefix(IN_FILE)
        file = FilePath(node.at.file).parent / name
        try:
            return _secret_text(self.reading.content(file, largest=LARGEST_REFERENCED_FILE))
        except (UnreadableFile, BadScalar) as error:
            raise BadScalar(f"{named}: {error}", error.cure) from error


def _secret_text(content: bytes) -> str:
    """What the file holds, without the line end that editors and `echo` add; PEM is kept as it is."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadScalar("is not UTF-8 text", "write the secret as text") from error
    if not text.strip():
        raise BadScalar("is empty", "write the secret or certificate into it")
    return with_writable_characters(text if PEM in text else text.removesuffix("\n").removesuffix("\r"))


def _no_value(node: Scalar, path: Path) -> BadScalar:
    """An empty value would silently mean the default, which is seldom what a half-written line means."""
    if refers_to_environment(node.text):
        return BadScalar(f"{node.text} is empty", f'write "{node.text}" if it may be')
    if expects_keys(path) or expects_names(path):
        return BadScalar("there is no value", "write its keys below it, indented further, or {} for none")
    return BadScalar("there is no value", 'write one, "" for empty text, or drop the key')
