"""Writes the tables of docs/reference.md from the model of the configuration; `--check` fails where they are stale.

docs/since.txt remembers in which version a key came: new keys get the version of pyproject.toml.

The page is written by hand around them. A key's words are those of the model and of the published schema; its example
is the smallest golden case that holds the key.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from control_plane.config import values
from control_plane.config.model import HASH_KEY_PATTERN, Config
from control_plane.config.schema import REFERENCE, json_schema
from control_plane.config.values import models, providers

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference.md"
GOLDEN = ROOT / "tests" / "golden"
SINCE = ROOT / "docs" / "since.txt"
PROJECT = ROOT / "pyproject.toml"
BEGIN = "<!-- The tables are written by `make gen`: change control_plane/config/model/ instead. -->"
END = "<!-- Here the tables end. -->"

# One and several of each small language.
WORDS = {
    values.DURATION_PATTERN: ("duration", "durations"),
    values.RATE_PATTERN: ("rate", "rates"),
    values.AMOUNT_PATTERN: ("amount", "amounts"),
    values.SIZE_PATTERN: ("size", "sizes"),
    values.NAME_PATTERN: ("name", "names"),
    values.WORD_PATTERN: ("word", "words"),
    values.TEXT_PATTERN: ("text", "texts"),
    values.HOST_PATTERN: ("host", "hosts"),
    values.ADDRESS_PATTERN: ("`IP:PORT`", "`IP:PORT`"),
    values.URL_PATTERN: ("URL", "URLs"),
    values.PATH_PATTERN: ("path", "paths"),
    values.SUBSTITUTION_PATTERN: ("part of a path", "parts of paths"),
    values.NETWORK_PATTERN: ("network", "networks"),
    values.ORIGIN_PATTERN: ("origin", "origins"),
    values.HEADER_PATTERN: ("header name", "header names"),
    values.HEADER_VALUE_PATTERN: ("header value", "header values"),
    values.KEY_ID_PATTERN: ("id of a key",),
    values.KEY_HASH_PATTERN: ("hash of a key",),
    values.MOMENT_PATTERN: ("day or time",),
    values.PARAMETER_PATTERN: ("name of a parameter",),
    values.COOKIE_PATTERN: ("name of a cookie",),
    values.LABEL_PATTERN: ("name in Kubernetes", "names in Kubernetes"),
    values.SERVICE_PORT_PATTERN: ("name or number of a port",),
    models.MODEL_PATTERN: ("model", "models"),
    models.WILD_PATTERN: ("model or pattern", "models or patterns"),
    models.PARAMETER_PATTERN: ("parameter", "parameters"),
    providers.PROVIDER_PATTERN: (f"`{'`, `'.join(providers.WORDS)}`",),
    HASH_KEY_PATTERN: ("`ip`, `subject`, `header NAME` or `cookie NAME`",),
}
PLAIN = {
    "boolean": ("`true`, `false`",),
    "integer": ("whole number", "whole numbers"),
    "number": ("number", "numbers"),
    "string": ("text", "texts"),
}

Schema = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Section:
    """A model, and the places of a file at which it stands."""

    model: type[BaseModel]
    paths: tuple[str, ...]
    heading: str

    @property
    def anchor(self) -> str:
        """What GitHub makes of the heading."""
        return re.sub(r"[^a-z0-9 _-]", "", self.heading.lower()).replace(" ", "-")


def sections() -> tuple[Section, ...]:
    """The models, the whole configuration first, then as keys lead to them."""
    places: dict[type[BaseModel], list[str]] = {}
    for model, path in _places(Config, ""):
        places.setdefault(model, []).append(path)
    return tuple(Section(model, tuple(paths), _heading(model, paths, places)) for model, paths in places.items())


def _places(model: type[BaseModel], path: str) -> Iterator[tuple[type[BaseModel], str]]:
    yield model, path
    for key, field in model.model_fields.items():
        for inner, many in _models_in(field.annotation):
            yield from _places(inner, f"{path}.{key}{many}".lstrip("."))


def _models_in(annotation: object, many: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, many
    origin = get_origin(annotation)
    here = ".NAME" if origin is dict else "[]" if origin is tuple else many
    for part in get_args(annotation):
        yield from _models_in(part, here)


def _heading(model: type[BaseModel], paths: list[str], places: Mapping[type[BaseModel], list[str]]) -> str:
    if model is Config:
        return "The whole file"
    heading = ", ".join(f"`{path}`" for path in paths)
    alone = sum(paths[0] in others for others in places.values()) == 1
    return heading if alone else f"{heading} with `{next(iter(model.model_fields))}`"


def tables() -> str:
    """Everything between the marks."""
    schema, cases, known, since = json_schema(), tuple(_cases()), sections(), versions()
    return "\n".join(line for section in known for line in _table(section, schema, cases, known, since))


def versions() -> dict[str, str]:
    """The version in which each key came, by `Model.key`."""
    remembered = dict(line.split() for line in SINCE.read_text().splitlines())
    current = ".".join(tomllib.loads(PROJECT.read_text())["project"]["version"].split(".")[:2])
    keys = sorted(_known_as(section.model, key) for section in sections() for key in section.model.model_fields)
    return {key: remembered.get(key, current) for key in keys}


def _known_as(model: type[BaseModel], key: str) -> str:
    return f"{model.__name__}.{key}"


def _table(
    section: Section,
    schema: Schema,
    cases: tuple[tuple[str, frozenset[str]], ...],
    known: tuple[Section, ...],
    since: Mapping[str, str],
) -> Iterator[str]:
    properties = schema["properties"] if section.model is Config else schema["$defs"][_name(section)]["properties"]
    yield from (f"### {section.heading}", "", section.model.__doc__ or "", "")
    yield from ("| key | type | default | meaning | since | example |", "|---|---|---|---|---|---|")
    for key, field in section.model.model_fields.items():
        cells = (
            f"`{key}`",
            _type(properties[key], known),
            _default(field, properties[key]),
            properties[key]["description"],
            since[_known_as(section.model, key)],
            _example([f"{path}.{key}".lstrip(".") for path in section.paths], cases),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _name(section: Section) -> str:
    return section.model.__name__


def _type(schema: Schema, known: tuple[Section, ...], *, several: bool = False) -> str:
    """A schema in an admin's words."""
    match schema:
        case {"$ref": str(reference)}:
            section = next(section for section in known if reference.endswith(f"/{_name(section)}"))
            return f"[{'mappings' if several else 'mapping'}](#{section.anchor})"
        case {"oneOf": list(branches)}:
            return " or ".join(_type(branch, known) for branch in branches)
        case {"patternProperties": dict(named)}:
            return " or ".join(_type(item, known, several=True) for item in named.values()) + " by name"
        case {"items": dict(item)}:
            return f"list of {_type(item, known, several=True)}"
    return _scalar(schema, several=several)


def _scalar(schema: Schema, *, several: bool) -> str:
    if "anyOf" in schema:  # or a reference to the environment
        return _scalar(schema["anyOf"][0], several=several)
    if "pattern" in schema:
        return WORDS[schema["pattern"].removesuffix(REFERENCE)][several]
    return _plain(schema, several=several)


def _plain(schema: Schema, *, several: bool) -> str:
    match schema:
        case {"enum": list(choices)}:
            words = ", ".join(f"`{choice}`" for choice in choices)
        case {"const": constant}:
            words = f"`{constant}`"
        case {"format": "password"}:
            words = "secret"
        case {"type": str(kind)}:
            words = PLAIN[kind][several] + _bounds(schema)
        case _:
            words = "any value"
    return words


def _bounds(schema: Schema) -> str:
    if "minimum" not in schema:
        return ""
    unit = f" {schema['x-unit']}" if "x-unit" in schema else ""
    return f" {schema['minimum']} to {schema['maximum']}{unit}"


def _default(field: FieldInfo, schema: Schema) -> str:
    if field.is_required():
        return "**required**"
    if "default" in schema:
        return f"`{_written(schema['default'])}`"
    if isinstance(field.default, BaseModel):
        return "its defaults"
    empty = field.default in ((), {}) or isinstance(field.default, SecretStr)
    return "empty" if empty else "–"  # noqa: RUF001 - a dash for nothing


def _written(default: object) -> str:
    if isinstance(default, list):
        return f"[{', '.join(map(_written, default))}]"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def _cases() -> Iterator[tuple[str, frozenset[str]]]:
    """The golden cases that compile, `minimal` and then the smallest first, each with the keys that it holds."""
    files = (path for path in GOLDEN.rglob("in.yaml") if "mistakes" not in path.parts)
    for path in sorted(files, key=lambda path: (len(path.parts), path.stat().st_size, str(path))):
        yield str(path.parent.relative_to(GOLDEN)), frozenset(_keys(_loaded(path), ""))


def _loaded(path: Path) -> object:
    """A case with every scalar as text: the key `on` is one."""
    return yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506 - it makes text alone


def _keys(node: object, path: str) -> Iterator[str]:
    """The paths of a document as headings write them; a key may also be a name."""
    if isinstance(node, dict):
        for key, value in node.items():
            for part in (key, "NAME"):
                yield f"{path}.{part}".lstrip(".")
                yield from _keys(value, f"{path}.{part}")
    if isinstance(node, list):
        for item in node:
            yield from _keys(item, f"{path}[]")


def _example(paths: list[str], cases: tuple[tuple[str, frozenset[str]], ...]) -> str:
    found = next((name for name, keys in cases if not keys.isdisjoint(paths)), None)
    return "–" if found is None else f"[{found}](../tests/golden/{found}/in.yaml)"  # noqa: RUF001 - as above


def page(current: str) -> str:
    """The page with fresh tables."""
    before, begin, rest = current.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"docs/reference.md has lost a mark of the tables: {BEGIN!r} or {END!r}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def main() -> int:
    current = PAGE.read_text()
    fresh = page(current)
    since = "".join(f"{key} {version}\n" for key, version in versions().items())
    if "--check" not in sys.argv:
        PAGE.write_text(fresh)
        SINCE.write_text(since)
    elif fresh != current or since != SINCE.read_text():
        print("docs/reference.md is not what control_plane/config/model/ says: run `make gen`")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
