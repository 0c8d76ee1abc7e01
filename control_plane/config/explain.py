"""The model's complaints in the words of an admin tool: what is expected, what was found, and the cure.

A value is quoted as it was written in the file, with variables by name, so that what the environment holds is never
shown; a secret is not quoted at all.
"""

from collections.abc import Callable, Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from control_plane.config.document import Mapping, Node, Scalar, Sequence
from control_plane.config.errors import MOST_MISTAKES, Path, Problem, did_you_mean
from control_plane.config.expected import expected, expects_keys, expects_secret, known_fields, known_words
from control_plane.config.marks import Marks
from control_plane.config.model import BRANCHES, KEY_SOURCE, SHAPE, WORD, WORD_OR_LIST
from control_plane.config.scalars import plain_value, refers_to_environment
from control_plane.config.values import Mistake, NotText

LONGEST_QUOTE = 80
# What pydantic puts into the location of an error about a key.
KEY = "[key]"
# What a bare number may lack.
COMPLETIONS = ("{}s", "{}B", "{}/minute", "{}/month", "127.0.0.1:{}")


def explained(error: ValidationError, marks: Marks) -> Iterator[Problem]:
    """One problem for each complaint of the model, as far as anybody reads them."""
    for detail in error.errors(include_url=False, include_input=False)[: MOST_MISTAKES + 1]:
        path = tuple(part for part in detail["loc"] if part not in BRANCHES and part != KEY)
        explain = EXPLANATIONS.get(detail["type"], _as_pydantic_says)
        yield explain(detail, path, marks)


def _mistake(detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    error = detail["ctx"]["error"]
    if not isinstance(error, Mistake):
        raise TypeError(f"a validator at {path} raised {type(error).__name__} instead of Mistake")
    if isinstance(error, NotText):
        return _not_text(error, path, marks)
    path, at_key = path + error.at, KEY in detail["loc"]
    if error.value is None:
        return Problem(path, error.message, error.cure, at_key or isinstance(marks.node(path), Mapping))
    written = None if at_key else marks.text(path)
    return Problem(path, f"{_quoted(written or error.value)} {error.message}", _safe_cure(error, written), at_key)


def _safe_cure(error: Mistake, written: str | None) -> str:
    """The cure; the general one where it would repeat what a variable holds."""
    if written is None or not refers_to_environment(written):
        return error.cure
    return "check what the variable holds"


def _unknown_key(_detail: ErrorDetails, path: Path, _marks: Marks) -> Problem:
    return Problem(
        path, f"unknown key {_quoted(str(path[-1]))}", did_you_mean(str(path[-1]), _keys(path[:-1])), at_key=True
    )


def _missing_key(_detail: ErrorDetails, path: Path, _marks: Marks) -> Problem:
    key = str(path[-1])
    description = next((field.description for field in known_fields(path[:-1]).get(key, ()) if field.description), None)
    return Problem(
        path[:-1], f"the key {key!r} is missing", f"add it: {description}" if description else "add it", at_key=True
    )


def _not_text(error: NotText, path: Path, marks: Marks) -> Problem:
    node = marks.node(path)
    message = f"{error.message}, found {_found(node)}"
    if not isinstance(node, Scalar):
        return Problem(path, message, "write one value")
    return Problem(path, message, _as_text(node.text, error.parse) if _shown(node, path) else "write it in quotes")


def _as_text(text: str, parse: Callable[[str], object]) -> str:
    """How to write what YAML took for something else than text."""
    if _is_accepted(text, parse):
        return f'write it in quotes: "{text}"'
    completed = (completion.format(text) for completion in COMPLETIONS)
    found = next((whole for whole in completed if _is_accepted(whole, parse)), None)
    return "write it in that form" if found is None else f"write {found}"


def _is_accepted(text: str, parse: Callable[[str], object]) -> bool:
    try:
        parse(text)
    except Mistake:
        return False
    return True


def _secret_is_no_text(_detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    node = marks.node(path)
    if isinstance(node, Scalar):
        message = "expected text, and without quotes YAML takes this for a number or a truth value"
        return Problem(path, message, "write it in quotes")
    return Problem(path, f"expected text, found {_found(node)}", "write one value")


def _not_boolean(_detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    node = marks.node(path)
    quoted = isinstance(node, Scalar) and not node.plain and isinstance(plain_value(node.text), bool)
    cure = "drop the quotes" if quoted else "write true or false"
    return Problem(path, f"expected true or false, found {_found(node)}", cure)


def _not_a_list(_detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    node = marks.node(path)
    cure = _as_list(node, path) if isinstance(node, Scalar) else "begin each entry with `- `"
    return Problem(path, f"expected a list, found {_found(node)}", cure)


def _as_list(node: Scalar, path: Path) -> str:
    """How to write a list instead of a single value."""
    entry, words = (*path, 0), known_words((*path, 0))
    if expects_keys(entry):
        return f"write {_example(entry)}"
    if not _shown(node, path):
        return "begin each entry with `- `"
    if int in expected(entry):
        return f"write [{node.text}]" if isinstance(plain_value(node.text), int) else "write a list of numbers"
    if words:
        return f"write [{node.text}]" if node.text in words else f"write a list of {', '.join(words)}"
    return f"write [{node.text}]" if node.plain else f'write ["{node.text}"]'


def _example(entry: Path) -> str:
    """A list of one entry, with the keys that it must have, or the first that it may have."""
    keys = _required(entry) or list(known_fields(entry))[:1]
    return f"[{{{', '.join(f'{key}: ...' for key in keys)}}}]"


def _not_a_mapping(_detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    node, known = marks.node(path), sorted(_keys(path))
    message = f"expected keys with values, found {_found(node)}"
    if isinstance(node, Scalar) and node.plain and (key := node.text.partition(":")[0]) in known:
        return Problem(path, message, f"put a space after the colon of `{key}:`")
    return Problem(
        path, message, f"known: {', '.join(known)}" if known else "write a name, a colon and what it stands for"
    )


def _no_choice(detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    node, choices = marks.node(path), known_words(path)
    if isinstance(node, Scalar) and node.text in choices:
        return _wrong_quotes(node, path)
    written, entries = marks.text(path) or "", known_words((*path, 0))
    if WORD in detail["loc"] and expects_keys((*path, 0)):
        cure = _nearest(written, choices, f"write {choices[0]}, or {_example((*path, 0))}")
        return Problem(path, f"expected {choices[0]} or a list, found {_quoted(written)}", cure)
    if WORD in detail["loc"] and set(entries) != set(choices):
        return Problem(path, f"expected {_words(path)}, found {_quoted(written)}", _other_word(written, path))
    if len(choices) == 1:
        return Problem(path, f"expected {choices[0]}, found {_quoted(written)}", f"write {choices[0]}")
    if isinstance(path[-1], int) and written in known_words(path[:-1]):
        return Problem(path, f"{written!r} stands in no list", f"write `{path[-2]}: {written}`")
    return Problem(path, f"{_quoted(written)} is not one of {', '.join(choices)}", _nearest(written, choices))


def _wrong_quotes(node: Scalar, path: Path) -> Problem:
    """The right word as the wrong type: 503 is a number, "1.2" is text."""
    if node.plain:
        return Problem(path, f"expected text, found {_found(node)}", f'write it in quotes: "{node.text}"')
    return Problem(path, "expected a number, found text", "drop the quotes")


def _other_word(written: str, path: Path) -> str:
    """The cure where neither a word nor a list or mapping was written."""
    entries, keys = known_words((*path, 0)), _keys(path)
    if keys:
        return f"known: {', '.join(sorted(keys))}"
    return f"write [{written}]" if written in entries else _nearest(written, entries)


def _nearest(written: str, choices: tuple[str, ...], otherwise: str = "choose one of them") -> str:
    cure = did_you_mean(written, choices)
    return cure if cure and not cure.startswith("known") else otherwise


def _words(path: Path) -> str:
    """The choice between a word and a list of words, or keys."""
    words, entries = known_words(path), known_words((*path, 0))
    if not entries:
        return f"{', '.join(words)} or keys with values"
    listed = "these" if entries == words else ", ".join(entries)
    return f"{', '.join(words)} or a list of {listed}"


def _word_or_list(_detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    example = ", ".join(known_words((*path, 0))[:2])
    return Problem(path, f"expected {_words(path)}, found {_found(marks.node(path))}", f"write [{example}]")


def _key_source(_detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    node = marks.node(path)
    if not isinstance(node, Mapping):
        return Problem(path, f"expected keys with values, found {_found(node)}", "write `keys: {file: jwks.json}`")
    unknown = [key for key in node.entries if key not in _keys(path)]
    if unknown:
        return Problem(
            (*path, unknown[0]),
            f"unknown key {_quoted(unknown[0])}",
            did_you_mean(unknown[0], _keys(path)),
            at_key=True,
        )
    message = "expected exactly one of `secret`, `file`, `url` and `discovery`"
    return Problem(path, message, "write one of them, or drop `keys` for discovery", at_key=True)


def _other_shape(detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    wanted, _, cure = detail["msg"].partition("\n")
    return Problem(path, f"expected {wanted}, found {_found(marks.node(path))}", cure)


def _not_a_number(detail: ErrorDetails, path: Path, marks: Marks) -> Problem:
    node = marks.node(path)
    wanted = "a whole number" if detail["type"] == "int_type" else "a number"
    return Problem(path, f"expected {wanted}, found {_found(node)}", _as_number(node))


def _as_number(node: Node | None) -> str:
    """How to write what is not taken for a number, or not for a whole one."""
    value = plain_value(node.text) if isinstance(node, Scalar) else None
    if isinstance(node, Scalar) and not node.plain and isinstance(value, int | float):
        return "drop the quotes"
    return "write it without a fraction" if isinstance(value, float) else "write digits alone"


def _empty_mapping(_detail: ErrorDetails, path: Path, _marks: Marks) -> Problem:
    return Problem(path, f"there are no {path[-1]}", "write at least one", at_key=True)


def _as_pydantic_says(detail: ErrorDetails, path: Path, _marks: Marks) -> Problem:
    return Problem(path, detail["msg"])


EXPLANATIONS: dict[str, Callable[[ErrorDetails, Path, Marks], Problem]] = {
    "value_error": _mistake,
    "extra_forbidden": _unknown_key,
    "missing": _missing_key,
    "string_type": _secret_is_no_text,
    "bool_type": _not_boolean,
    "tuple_type": _not_a_list,
    "dict_type": _not_a_mapping,
    "model_type": _not_a_mapping,
    "literal_error": _no_choice,
    "too_short": _empty_mapping,
    "int_type": _not_a_number,
    "float_type": _not_a_number,
    SHAPE: _other_shape,
    WORD_OR_LIST: _word_or_list,
    KEY_SOURCE: _key_source,
}


def _quoted(text: str) -> str:
    return repr(text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "...")


def _found(node: Node | None) -> str:
    """What was written, by its kind; without its value where that could be a secret."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "keys with values"
    if not isinstance(node, Scalar) or refers_to_environment(node.text):
        return "a single value"
    value = plain_value(node.text) if node.plain else node.text
    if isinstance(value, bool):
        return f"the truth value {node.text}"
    return "text" if isinstance(value, str) else "a number"


def _shown(node: Scalar, path: Path) -> bool:
    """Whether the value may be repeated: it is written in the file, and no secret."""
    return not refers_to_environment(node.text) and not expects_secret(path)


def _required(path: Path) -> list[str]:
    """The keys that must stand at this path."""
    return [key for key, fields in known_fields(path).items() if all(field.is_required() for field in fields)]


def _keys(path: Path) -> frozenset[str]:
    """The keys that the model knows at this path."""
    return frozenset(known_fields(path))
