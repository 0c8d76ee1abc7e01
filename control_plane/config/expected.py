"""What the model expects at a path of the configuration: by it mistakes are explained, files merged, secrets read."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from control_plane.config.errors import Path
from control_plane.config.model import Config


def expected(path: Path) -> list[Any]:  # Any: types, and what typing makes of them
    """The types; several where the model has a union, none where it knows nothing."""
    kinds: list[Any] = [Config]
    for part in path:
        kinds = [inner for kind in kinds for inner in _inside(kind, part)]
    return kinds


def expects_secret(path: Path) -> bool:
    """Whether a scalar at this path must never be shown, and may stand in a file of its own."""
    return SecretStr in expected(path)


def expects_keys(path: Path) -> bool:
    """Whether each key of a mapping at this path has a meaning of its own, and is no name that an admin chose."""
    return any(_is_model(kind) for kind in expected(path))


def expects_names(path: Path) -> bool:
    """Whether the keys of a mapping at this path are names."""
    return any(get_origin(kind) is dict for kind in expected(path))


def expects_entries(path: Path) -> bool:
    """Whether a list at this path holds things, each with keys of its own, and not words."""
    return any(_is_model(kind) for kind in expected((*path, 0)))


def known_fields(path: Path) -> dict[str, list[FieldInfo]]:
    """The keys that the model knows at this path; a key of several branches of a union has several meanings."""
    fields: dict[str, list[FieldInfo]] = {}
    for kind in expected(path):
        if _is_model(kind):
            for key, field in kind.model_fields.items():
                fields.setdefault(key, []).append(field)
    return fields


def known_words(path: Path) -> tuple[str, ...]:
    """The words that may stand at this path."""
    return tuple(str(word) for kind in expected(path) if get_origin(kind) is Literal for word in get_args(kind))


def _inside(kind: Any, part: str | int) -> list[Any]:
    if _is_model(kind):
        field = kind.model_fields.get(str(part))
        return _alternatives(field.annotation) if field else []
    if get_origin(kind) is dict and isinstance(part, str):
        return _alternatives(get_args(kind)[1])
    if get_origin(kind) is tuple and isinstance(part, int):
        return _alternatives(get_args(kind)[0])
    return []


def _alternatives(annotation: Any) -> list[Any]:
    """The branches of an annotation, without what only refines them."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for branch in get_args(annotation) for kind in _alternatives(branch)]
    return [] if annotation is types.NoneType else [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
