"""A YAML file as a tree whose every node knows its place. Here it is decided what YAML this language accepts.

Of YAML it takes one document of mappings with text keys, lists and scalars; aliases, as long as they stay small; no
tags and no merge keys. The tree is built from the parser's events, and its depth is bounded: neither a deep nor a
self-containing document can exhaust the process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

import yaml

from control_plane.config.errors import MOST_MISTAKES, ConfigError, InvalidConfig, Location, Path
from control_plane.config.scalars import plain_value

DEEPEST: Final = 64
MOST_ALIASED_NODES: Final = 100_000
# Keys count too. Ten thousand routes with many keys have fewer; wrong ones each cost two kilobytes.
MOST_VALUES: Final = 500_000
# YAML 1.2 section 5.1, without the byte order mark inside a document.
UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
CONTENT: Final = (yaml.ScalarEvent, yaml.CollectionStartEvent)
SYNTAX_CURES: Final = (
    ("cannot start any token", "indent with spaces, not tabs; put text that begins with @, ` or % in quotes"),
    ("mapping values are not allowed", "check the indentation; put text that holds ': ' in quotes"),
    ("expected ',' or", 'close the bracket, put commas between entries, and write "${NAME}" in quotes'),
    ("unexpected end of stream", "close the quote"),
    ("alphabetic or numeric character", "put text that begins with * or & in quotes"),
)
SYNTAX_CURE: Final = "check indentation, quotes and brackets here and on the line before"


class Scalar(NamedTuple):
    """A scalar as it was written. Like its place a tuple, which is made and collected several times faster."""

    at: Location
    text: str
    plain: bool
    size: int = 1


@dataclass(frozen=True, slots=True)
class Sequence:
    at: Location
    items: "tuple[Node, ...]"
    size: int


class Entry(NamedTuple):
    key_at: Location
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    at: Location
    entries: dict[str, Entry]
    size: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """Stands where a mistake has been reported, so that no second one is reported there."""

    at: Location
    size: int = 1


Node = Scalar | Sequence | Mapping | Unusable


@dataclass(frozen=True)
class Document:
    """The tree of a file, the mistakes that left it readable, and how much it holds: `aliased` of it by alias."""

    root: Node = field(repr=False)  # holds secrets
    errors: tuple[ConfigError, ...] = ()
    aliased: int = 0
    values: int = 0


def read_document(content: bytes, file: str) -> Document:
    """The document in these bytes; InvalidConfig where no tree can be made of them."""
    text = _decoded(content, file)
    composer = _Composer(yaml.parse(text, Loader=yaml.CSafeLoader), file)
    try:
        return composer.document()
    except yaml.YAMLError as error:
        raise InvalidConfig((*composer.errors, _syntax_error(error, file))) from error


def _decoded(content: bytes, file: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        message, cure = f"byte 0x{content[error.start]:02x} is not UTF-8", "save the file as UTF-8"
        raise InvalidConfig([ConfigError(_end_of(before, file), (), message, cure)]) from error
    if bad := UNPRINTABLE.search(text):
        message = f"the character U+{ord(bad[0]):04X} cannot stand in YAML"
        raise InvalidConfig([ConfigError(_end_of(text[: bad.start()], file), (), message, "remove it")])
    return text


def _end_of(text: str, file: str) -> Location:
    """The place that follows this beginning of a file."""
    return Location(file, text.count("\n") + 1, len(text) - text.rfind("\n"))


def _syntax_error(error: yaml.YAMLError, file: str) -> ConfigError:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem is None or error.problem_mark is None:
        return ConfigError(Location(file, 1, 1), (), "this is not YAML", SYNTAX_CURE)
    cure = next((cure for words, cure in SYNTAX_CURES if words in error.problem), SYNTAX_CURE)
    location = Location(file, error.problem_mark.line + 1, error.problem_mark.column + 1)
    return ConfigError(location, (), f"this is not YAML: {error.problem}{_context(error)}", cure)


def _context(error: yaml.MarkedYAMLError) -> str:
    if not error.context or "token" in error.context or error.context_mark is None:
        return ""
    return f" {error.context} that begins in line {error.context_mark.line + 1}"


@dataclass
class _Composer:
    """Builds the tree from the events of one file; what it cannot go on after is raised, the rest is collected."""

    events: Iterator[yaml.Event]
    file: str
    errors: list[ConfigError] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)
    aliased: int = 0
    values: int = 0

    def document(self) -> Document:
        next(self.events)  # the stream's start
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            self._fatal(start, (), "the file is empty", "begin with `version: 1`")
        root = self._node(next(self.events), ())
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._fatal(after, (), "a second document begins here", "keep one; drop the line `---`")
        return Document(root, tuple(self.errors), self.aliased, self.values)

    def _node(self, event: yaml.Event, path: Path) -> Node:
        if len(path) > DEEPEST:
            self._fatal(event, (), f"the nesting is deeper than {DEEPEST} levels", "no part of this language is")
        self.values += 1
        if self.values > MOST_VALUES:
            message = f"the file holds more than {MOST_VALUES} values"
            self._fatal(event, path, message, "check that it is the right file")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if not isinstance(event, CONTENT):
            raise TypeError(f"the YAML parser gave {event} where a node begins")
        anchor = event.anchor
        if anchor is not None:
            self.anchors[anchor] = None  # open: an alias to it now would contain itself
        node = self._content(event, path)
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            node = self._unusable(event, path, "tags are not accepted", "remove the tag")
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def _content(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: Path) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(self._place(event), event.value, plain=not event.style and event.tag is None)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, path)
        return self._mapping(event, path)

    def _alias(self, event: yaml.AliasEvent, path: Path) -> Node:
        if event.anchor not in self.anchors:
            return self._unusable(event, path, f"there is no anchor &{event.anchor} before this alias", "declare it")
        node = self.anchors[event.anchor]
        if node is None:
            self._fatal(event, path, f"the alias *{event.anchor} contains itself", "write the value out")
        self.aliased += node.size
        if self.aliased > MOST_ALIASED_NODES:
            self._fatal(event, path, f"aliases stand for more than {MOST_ALIASED_NODES} values", "write them out")
        return node

    def _sequence(self, event: yaml.Event, path: Path) -> Node:
        items: list[Node] = []
        while not isinstance(following := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(following, (*path, len(items))))
        return Sequence(self._place(event), tuple(items), 1 + sum(item.size for item in items))

    def _mapping(self, event: yaml.Event, path: Path) -> Node:
        entries: dict[str, Entry] = {}
        size = 1
        while not isinstance(following := next(self.events), yaml.MappingEndEvent):
            key = self._key(following, path)
            value = self._node(next(self.events), (*path, key or "?"))
            size += value.size
            if key is None:
                continue
            if key in entries:
                before = entries[key].key_at
                message = f"the key {key!r} stands twice, first at {before.line}:{before.column}"
                self._report(following, (*path, key), message, "merge the two")
                continue
            entries[key] = Entry(self._place(following), value)
        return Mapping(self._place(event), entries, size)

    def _key(self, event: yaml.Event, path: Path) -> str | None:
        """The text of a key; None where it is no text, which has been reported."""
        node = None if isinstance(event, yaml.AliasEvent) else self._node(event, (*path, "?"))
        if isinstance(node, Unusable):
            return None
        if not isinstance(node, Scalar):
            self._report(event, path, "a key must be text", "write `key: value`")
            return None
        if node.plain and node.text == "<<":
            self._report(event, path, "merge keys are not accepted", "write the keys out")
            return None
        # `on` is a key of this language, and text in YAML 1.2
        if node.plain and not isinstance(plain_value(node.text), str | bool):
            self._report(event, path, f"YAML does not take the key `{node.text}` for text", "write it in quotes")
            return None
        return node.text

    def _place(self, event: yaml.Event) -> Location:
        mark = event.start_mark
        return Location(self.file, mark.line + 1, mark.column + 1) if mark else Location(self.file, 1, 1)

    def _report(self, event: yaml.Event, path: Path, message: str, cure: str) -> None:
        self.errors.append(ConfigError(self._place(event), path, message, cure))
        if len(self.errors) > MOST_MISTAKES:
            raise InvalidConfig(self.errors)

    def _unusable(self, event: yaml.Event, path: Path, message: str, cure: str) -> Unusable:
        self._report(event, path, message, cure)
        return Unusable(self._place(event))

    def _fatal(self, event: yaml.Event, path: Path, message: str, cure: str) -> NoReturn:
        self._report(event, path, message, cure)
        raise InvalidConfig(self.errors)
