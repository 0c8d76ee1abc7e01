"""The parts of a configuration that are validated apart from each other, and the models made of them before.

An element is a thing with a name, a route or an upstream or the like, or a section that holds none. Its model depends
on its resolved data alone, so equal data has the same model: what refers to an element can tell by identity that it is
as it was. Only models of configurations that were found well-formed stand here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from control_plane.config.document import Node
from control_plane.config.errors import Path
from control_plane.config.expected import expects_entries, expects_keys, expects_names
from control_plane.config.files import digest_of
from control_plane.config.model import Config, Model
from control_plane.reuse import Reused


def _depth(section: str) -> int | None:
    """How deep the elements of a section stand: its entries, or it itself; None where it is a plain value."""
    path = (section,)
    if expects_entries(path) or expects_names(path):
        return 2
    return 1 if expects_keys(path) else None


DEPTHS: Final[Mapping[str | int, int | None]] = {section: _depth(section) for section in Config.model_fields}
# The section and the digest of the data.
Content = tuple[str | int, bytes]


def is_element(path: Path) -> bool:
    """Whether what stands at the path is validated apart."""
    return bool(path) and DEPTHS.get(path[0]) == len(path)


@dataclass
class Elements:
    """Models of elements by their content, and the content of nodes that say the same in every environment."""

    # A node is kept with its content, so that no other one is ever taken for it.
    _contents: Reused[tuple[str | int, int], tuple[Node, Content]] = field(default_factory=Reused)
    _models: Reused[Content, Model] = field(default_factory=Reused)
    _fresh: list[tuple[Path, Content]] = field(default_factory=list)

    def begin(self) -> None:
        """From here on, another configuration is read."""
        self._contents.begin()
        self._models.begin()
        self._fresh = []

    def of_node(self, path: Path, node: Node) -> Model | None:
        """The model of an element that needs no look at the environment."""
        known = self._contents.get((path[0], id(node)))
        return None if known is None else self._models.get(known[1])

    def of_data(self, path: Path, node: Node, data: object, *, constant: bool) -> object:
        """The model of this data, or the data itself where it is yet to be validated."""
        # 1 and true are equal; how they are written is not.
        content = path[0], digest_of(repr(data).encode())
        if constant:
            self._contents[path[0], id(node)] = node, content
        model = self._models.get(content)
        if model is None:
            self._fresh.append((path, content))
            return data
        return model

    def validated(self, config: Config) -> None:
        """Keeps the models of the configuration that was made of all this data."""
        for path, content in self._fresh:
            self._models[content] = _at(config, path)
        self._fresh = []
        self._contents.succeeded()
        self._models.succeeded()


def _at(config: Config, path: Path) -> Model:
    section, *entry = path
    found = getattr(config, str(section))
    for part in entry:
        found = found[part]
    if not isinstance(found, Model):
        raise TypeError(f"no element stands at {path}")
    return found
