"""From the paths of a configuration back to the places of its files."""

import re

from control_plane.config.document import Mapping, Node, Scalar, Sequence
from control_plane.config.errors import ConfigError, Location, Path, Problem
from control_plane.config.scalars import refers_to_environment

QUOTED = re.compile(r"'[^']*'")


class Marks:
    """Knows where each key and value of a configuration was written."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def at(self, path: Path, *, at_key: bool = False) -> Location:
        """The place of the value, or of its key; where there is none, of the key of the nearest part that exists."""
        node, key_at = self._root, self._root.at
        for part in path:
            child = _child(node, part)
            if child is None:
                return key_at
            node, key_at = child
        return key_at if at_key else node.at

    def node(self, path: Path) -> Node | None:
        """What was written at the path; None where nothing was."""
        node = self._root
        for part in path:
            child = _child(node, part)
            if child is None:
                return None
            node = child[0]
        return node

    def text(self, path: Path) -> str | None:
        """The scalar at the path as it was written, with its variables by name; None where there is no scalar."""
        node = self.node(path)
        return node.text if isinstance(node, Scalar) else None

    def located(self, problem: Problem) -> ConfigError:
        """The problem at its place; what a variable holds is quoted by the variable's name."""
        location = self.at(problem.path, at_key=problem.at_key)
        written = self.text(problem.path)
        if written is None or problem.at_key or not refers_to_environment(written):
            return ConfigError(location, problem.path, problem.message, problem.cure)
        message = QUOTED.sub(lambda _: repr(written), problem.message, count=1)
        return ConfigError(location, problem.path, message, problem.cure)


def _child(node: Node, part: str | int) -> tuple[Node, Location] | None:
    if isinstance(node, Mapping) and isinstance(part, str) and part in node.entries:
        entry = node.entries[part]
        return entry.value, entry.key_at
    if isinstance(node, Sequence) and isinstance(part, int) and 0 <= part < len(node.items):
        item = node.items[part]
        return item, item.at
    return None
