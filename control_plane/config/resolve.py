"""The data of a document: plain values for the model, with the environment put in."""

from collections.abc import Mapping as Environment
from dataclasses import dataclass, field

from control_plane.config.document import Mapping, Node, Scalar, Sequence
from control_plane.config.errors import Path, Problem
from control_plane.config.scalars import BadScalar, plain_value, refers_to_environment, substituted

# Stands in the data where a mistake is already known; the model refuses it, and that refusal is not reported.
UNUSABLE = object()


@dataclass
class Resolved:
    """Data, the mistakes found on the way, and the paths at which nothing can be said about the data."""

    data: object = UNUSABLE
    problems: list[Problem] = field(default_factory=list)
    unusable: set[Path] = field(default_factory=set)

    def knows(self, path: Path) -> bool:
        """Whether what stands at the path is what was meant."""
        return not any(path[:length] in self.unusable for length in range(len(path) + 1))


def resolve(root: Node, environ: Environment[str, str]) -> Resolved:
    """The data of the tree; every mistake is kept, none ends the work."""
    resolved = Resolved()
    resolved.data = _data(root, (), environ, resolved)
    return resolved


def _data(node: Node, path: Path, environ: Environment[str, str], resolved: Resolved) -> object:
    if isinstance(node, Mapping):
        return {key: _data(entry.value, (*path, key), environ, resolved) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return tuple(_data(item, (*path, index), environ, resolved) for index, item in enumerate(node.items))
    if isinstance(node, Scalar):
        return _scalar(node, path, environ, resolved)
    resolved.unusable.add(path)
    return UNUSABLE


def _scalar(node: Scalar, path: Path, environ: Environment[str, str], resolved: Resolved) -> object:
    try:
        text = substituted(node.text, environ)
        value = plain_value(text) if node.plain else text
        if value is None:
            raise _no_value(node)
    except BadScalar as error:
        resolved.problems.append(Problem(path, str(error), error.cure))
        resolved.unusable.add(path)
        return UNUSABLE
    return value


def _no_value(node: Scalar) -> BadScalar:
    """An empty value would silently mean the default, which is seldom what a half-written line means."""
    if refers_to_environment(node.text):
        return BadScalar(f"{node.text} is empty", f'write "{node.text}" if it may be')
    return BadScalar("there is no value", 'write one, "" for empty text, or drop the key')
