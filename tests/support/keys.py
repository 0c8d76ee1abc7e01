"""Which keys of the configuration language stand in files."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args, get_origin

import yaml
from pydantic import BaseModel

from control_plane.config.model import Config


def keys_missing(files: Iterable[Path]) -> set[str]:
    """The keys of the language, as `Model.key`, that stand in none of these files."""
    written = {path for file in files for path in _keys_written(_texts(file))}
    places: dict[str, set[str]] = {}
    for key, path in _keys_of(Config, ""):
        places.setdefault(key, set()).add(path)
    return {key for key, paths in places.items() if paths.isdisjoint(written)}


def _texts(file: Path) -> object:
    return yaml.load(file.read_text(), yaml.BaseLoader)  # all is text: `on` is a key


def _keys_of(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    """The keys of a model, and the paths at which they stand, with `*` for the names of a mapping."""
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}", f"{prefix}{name}"
        for inner, mapped in _models_in(field.annotation):
            yield from _keys_of(inner, f"{prefix}{name}.*." if mapped else f"{prefix}{name}.")


def _models_in(annotation: object, *, mapped: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, mapped
    for part in get_args(annotation):
        yield from _models_in(part, mapped=mapped or get_origin(annotation) is dict)


def _keys_written(node: object, prefix: str = "") -> Iterator[str]:
    """Each path as it is written, and with `*` for any part of it."""
    for name, value in node.items() if isinstance(node, dict) else ():
        for part in (str(name), "*"):
            yield prefix + part
            yield from _keys_written(value, f"{prefix}{part}.")
    for item in node if isinstance(node, list) else ():
        yield from _keys_written(item, prefix)
