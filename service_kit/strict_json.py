"""JSON that can be read in one way only: no repeated member, no NaN, no nesting deeper than the parser's stack."""

import json
from typing import NoReturn


def strict_object(text: str) -> dict[str, object]:
    """The JSON object that the text holds; ValueError for anything else."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - what is wrong is the text, not an argument's type
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
