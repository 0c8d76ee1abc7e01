"""A YAML file as the nodes of its parser, which know their places; and scalars as envoyproxy/ratelimit's parser reads.

Aliases and merge keys are accepted, as there. What would be lost without a word is a mistake here: a second document
and a key that stands twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor

from ratelimit_service.swap_in.mistakes import Mistake, Place

DEEPEST: Final = 64
MOST_NODES: Final = 1_000_000
MOST_REQUESTS: Final = 2**32 - 1

TAG: Final = "tag:yaml.org,2002:"
NULL, FLOAT, MERGE = TAG + "null", TAG + "float", TAG + "merge"
JSON_SCALARS: Final = frozenset({NULL, FLOAT, TAG + "bool", TAG + "int"})
TRUE: Final = frozenset({"y", "yes", "on", "true"})
FALSE: Final = frozenset({"n", "no", "off", "false"})


def is_null(node: yaml.Node | None) -> bool:
    """Whether nothing is written there."""
    return node is None or node.tag == NULL


@dataclass
class Reader:
    """Reads the nodes of one file; what is wrong is collected, and read as if it were not there."""

    file: str
    mistakes: list[Mistake] = field(default_factory=list)
    visited: int = 0

    def place(self, node: yaml.Node | None) -> Place:
        if node is None or node.start_mark is None:
            return Place(self.file, 1, 1)
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def wrong(self, node: yaml.Node | None, message: str, cure: str) -> None:
        self.mistakes.append(Mistake(self.place(node), message, cure))

    def root(self, content: bytes) -> yaml.MappingNode | None:
        """The mapping that the file is; None where it is none, which has been reported."""
        try:
            node = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.CSafeLoader)
        except UnicodeDecodeError as error:
            self.mistakes.append(Mistake(Place(self.file), f"byte {error.start} is not UTF-8", "save it as UTF-8"))
            return None
        except yaml.YAMLError as error:
            self._syntax(error)
            return None
        except RecursionError:
            self.wrong(None, "the nesting is too deep", "check that it is the right file")
            return None
        if node is None:
            self.wrong(None, "the file is empty", "begin with `domain: NAME`")
            return None
        mapping = self._as_mapping(node, "the file")
        return mapping if mapping is not None and self._is_small(mapping) else None

    def entries(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key and value node by key, merge keys resolved."""
        self._no_key_twice(node)
        try:
            SafeConstructor().flatten_mapping(node)
        except yaml.YAMLError as error:
            self._syntax(error)
            return {}
        return {key.value: (key, value) for key, value in node.value if self._is_text_key(key)}

    def mapping(self, node: yaml.Node, what: str) -> yaml.MappingNode | None:
        """The node, where it is a mapping; else None, and the mistake unless nothing is written."""
        return None if is_null(node) else self._as_mapping(node, what)

    def sequence(self, node: yaml.Node | None, what: str) -> Iterator[yaml.MappingNode]:
        """The mappings of a list."""
        if node is None or is_null(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{what} is no list", "begin each entry with `- `")
            return
        for item in node.value:
            if (mapping := self._as_mapping(item, f"an entry of {what}")) is not None:
                yield mapping

    def text(self, node: yaml.Node | None, what: str) -> str:
        """A text as it is written, empty where nothing is; numbers and yes/no are texts too, but no fractions."""
        if node is None or is_null(node):
            return ""
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, f"{what} is no text", "write one word or a text in quotes")
            return ""
        if node.tag == FLOAT:
            self.wrong(node, f"YAML takes the {what} `{node.value}` for a fraction", "write it in quotes")
            return ""
        return str(node.value)

    def flag(self, node: yaml.Node | None, what: str) -> bool:
        if node is None or is_null(node):
            return False
        word = str(node.value).lower() if isinstance(node, yaml.ScalarNode) and not node.style else ""
        if word not in TRUE | FALSE:
            self.wrong(node, f"{what} is neither true nor false", "write `true` or `false`, without quotes")
        return word in TRUE

    def number(self, node: yaml.Node | None, what: str) -> int:
        """A whole number from 0 to what 32 bits hold; 0 where nothing is written."""
        if node is None or is_null(node):
            return 0
        is_plain = isinstance(node, yaml.ScalarNode) and not node.style
        number = whole_number(node.value) if is_plain else None
        if number is None or not 0 <= number <= MOST_REQUESTS:
            self.wrong(node, f"{what} is no whole number from 0 to {MOST_REQUESTS}", "write digits, without quotes")
            return 0
        return number

    def _syntax(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be read"
        place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
        cure = "check indentation, quotes and brackets here and on the line before"
        if "single document" in str(getattr(error, "context", "")):
            problem, cure = "a second document begins here", "one file is one document: move it to a file of its own"
        self.mistakes.append(Mistake(place, f"this is not YAML that can be used: {problem}", cure))

    def _as_mapping(self, node: yaml.Node, what: str) -> yaml.MappingNode | None:
        if isinstance(node, yaml.MappingNode):
            return node
        self.wrong(node, f"{what} is no mapping", "write `key: value` lines")
        return None

    def _no_key_twice(self, node: yaml.MappingNode) -> None:
        seen: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            if key.value in seen and seen[key.value] is not key:
                at = self.place(seen[key.value])
                self.wrong(key, f"`{key.value}` stands twice, first at {at.line}:{at.column}", "keep one of them")
            seen[key.value] = key

    def _is_text_key(self, key: yaml.Node) -> bool:
        if isinstance(key, yaml.ScalarNode) and key.tag == TAG + "str":
            return True
        self.wrong(key, f"the key `{key.value if isinstance(key, yaml.ScalarNode) else '?'}` is no text", "drop it")
        return False

    def _is_small(self, node: yaml.Node, depth: int = 0) -> bool:
        """Whether the tree, with every alias written out, is neither deep nor large; an alias may contain itself."""
        self.visited += 1
        if depth > DEEPEST or self.visited > MOST_NODES:
            self.wrong(node, f"this is deeper than {DEEPEST} levels, or larger than any rules", "check the aliases")
            return False
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        flat = (part for child in children for part in (child if isinstance(child, tuple) else (child,)))
        return all(self._is_small(child, depth + 1) for child in flat)


def plain(node: yaml.Node) -> Any:  # Any: the operator's own YAML
    """The value with texts for keys, as a message of the protocol holds it; dates stay texts."""
    if isinstance(node, yaml.MappingNode):
        SafeConstructor().flatten_mapping(node)
        return {str(key.value): plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    try:
        return SafeConstructor().construct_object(node) if node.tag in JSON_SCALARS else str(node.value)
    except ValueError:  # 0x_ looks like a number, and is none
        return str(node.value)


def whole_number(text: str) -> int | None:
    """The number that Go's parser reads: underscores are nothing, a leading 0 is octal."""
    digits = text.replace("_", "").lower().removeprefix("+")
    is_octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    try:
        return int(digits, 8 if is_octal else 0) if digits.isascii() else None
    except ValueError:
        return None
