"""Several documents as one: what of a configuration may be spread over files, and what is defined once.

Keys that the model gives a meaning are merged, things by name and lists of things are put together; each name, and
everything else, stands in one file alone. So no file changes what another one says, and their order means nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from control_plane.config.document import MOST_ALIASED_NODES, Document, Entry, Mapping, Node, Scalar, Unusable
from control_plane.config.document import Sequence as List
from control_plane.config.errors import ConfigError, InvalidConfig, Location, Path
from control_plane.config.expected import expects_entries, expects_keys, expects_names

# Each file may say it, since each is a file of this language; all say the same.
IN_EACH_FILE: Final = ("version",)


def merged(documents: Sequence[Document], directory: FilePath) -> Document:
    """The documents as one that knows where each of its parts was written."""
    place = Location(str(directory), 1, 1)
    aliased = sum(document.aliased for document in documents)
    if aliased > MOST_ALIASED_NODES:
        message = f"aliases stand for more than {MOST_ALIASED_NODES} values in these files"
        raise InvalidConfig([ConfigError(place, (), message, "write them out")])
    merger = _Merger([error for document in documents for error in document.errors])
    root = merger.mapping((), merger.usable([document.root for document in documents]), place)
    merger.refuse_repeated_names((), root)
    return Document(root, tuple(merger.errors), aliased)


@dataclass
class _Merger:
    errors: list[ConfigError] = field(default_factory=list)

    def usable(self, roots: Sequence[Node]) -> list[Mapping]:
        """The roots that can be merged."""
        for root in roots:
            if not isinstance(root, Mapping | Unusable):
                cure = "write `routes:` or another key of the language"
                self._report((), root.at, "expected keys with values", cure)
        return [root for root in roots if isinstance(root, Mapping)]

    def mapping(self, path: Path, parts: Sequence[Mapping], at: Location) -> Mapping:
        """One mapping with all that the parts say."""
        found: dict[str, list[Entry]] = {}
        for part in parts:
            for key, entry in part.entries.items():
                found.setdefault(key, []).append(entry)
        entries = {key: self._entry((*path, key), same) for key, same in found.items()}
        return Mapping(at, entries, 1 + sum(entry.value.size for entry in entries.values()))

    def _entry(self, path: Path, same: Sequence[Entry]) -> Entry:
        """One entry for all of them; the first where only one may be."""
        first, *others = same
        if not others:
            return first
        mappings = [entry.value for entry in same if isinstance(entry.value, Mapping)]
        lists = [entry.value for entry in same if isinstance(entry.value, List)]
        if len(mappings) == len(same) and _is_section(path):
            return Entry(first.key_at, self.mapping(path, mappings, first.value.at))
        if len(lists) == len(same) and expects_entries(path):
            items = tuple(item for part in lists for item in part.items)
            return Entry(first.key_at, List(first.value.at, items, sum(part.size for part in lists)))
        for other in others:
            self._refuse(path, first, other)
        return first

    def _refuse(self, path: Path, first: Entry, other: Entry) -> None:
        if path[-1] not in IN_EACH_FILE or len(path) > 1:
            what = "name" if expects_names(path[:-1]) else "key"
            message = f"the {what} {str(path[-1])!r} stands twice, first at {first.key_at}"
            self._report(path, other.key_at, message, "keep one")
        elif _written(first.value) != _written(other.value):
            message = f"the {path[-1]} is another one than at {first.value.at}"
            self._report(path, other.value.at, message, "write the same in each file, or in one alone")

    def refuse_repeated_names(self, path: Path, node: Node) -> None:
        """Reports each name that two entries of a list have, in whichever files they stand."""
        if isinstance(node, Mapping) and not expects_names(path):
            for key, entry in node.entries.items():
                self.refuse_repeated_names((*path, key), entry.value)
        if isinstance(node, List) and expects_entries(path):
            self._refuse_repeated(path, node)

    def _refuse_repeated(self, path: Path, entries: List) -> None:
        first: dict[str, Location] = {}
        for index, item in enumerate(entries.items):
            if (name := _name(item)) is None:
                continue
            if name.text in first:
                message = f"the name {name.text!r} stands twice, first at {first[name.text]}"
                self._report((*path, index, "name"), name.at, message, "rename one")
            first.setdefault(name.text, name.at)

    def _report(self, path: Path, at: Location, message: str, cure: str) -> None:
        self.errors.append(ConfigError(at, path, message, cure))


def _is_section(path: Path) -> bool:
    """Whether a mapping may be spread over files; a thing with a name is whole in one."""
    return (expects_names(path) or expects_keys(path)) and not expects_names(path[:-1])


def _written(value: Node) -> tuple[str, bool] | None:
    return (value.text, value.plain) if isinstance(value, Scalar) else None


def _name(item: Node) -> Scalar | None:
    """The name of an entry, where it has one."""
    entry = item.entries.get("name") if isinstance(item, Mapping) else None
    return entry.value if entry is not None and isinstance(entry.value, Scalar) else None
