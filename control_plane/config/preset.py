"""The environment preset: what the variables of a one-backend gateway mean where no configuration is named.

The configuration is preset.yaml; its references are filled here, into scalars alone, so that no value can be more than
a value. A variable that is unset or empty has its default, but for the token: without one the gateway does not start.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from control_plane.config import document as tree
from control_plane.config.document import Document, read_document
from control_plane.config.errors import ENVIRONMENT, ConfigError, InvalidConfig, Location
from control_plane.config.marks import Marks
from control_plane.config.resolve import IN_FILE
from control_plane.config.scalars import BadScalar, substituted, with_writable_characters

FILE: Final = "preset.yaml"
TEXT: Final = files("control_plane.config").joinpath(FILE).read_text(encoding="utf-8")
VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)(?::-([^}]*))?\}")
TOKEN: Final = "GATEWAY_BEARER_TOKEN"  # noqa: S105 - the name of a variable
BACKENDS: Final = ("ollama",)
TRUTH: Final = MappingProxyType(
    {
        spelling: value
        for spellings, value in ((("true", "yes", "on", "1"), "true"), (("false", "no", "off", "0"), "false"))
        for spelling in spellings
    }
)
WITHOUT_EFFECT: Final = MappingProxyType(
    {
        "MEMORY_V2_ENABLED": "it belongs to a feature outside this gateway, and changes nothing",
        "MEMORY_DB_PATH": "it belongs to a feature outside this gateway, and changes nothing",
    }
)


@dataclass(frozen=True)
class Chosen:
    """The configuration that the environment describes, and what to say about the environment."""

    document: Document
    warnings: tuple[str, ...]


def chosen(environ: Mapping[str, str]) -> Chosen:
    """The preset with this environment; InvalidConfig where a variable cannot be used."""
    given = {name: value for name in _names() if (value := environ.get(name))}
    mistakes: list[ConfigError] = []
    for name in sorted({*given, TOKEN}):
        try:
            given[name] = _checked(name, with_writable_characters(given.get(name, "")))
        except BadScalar as error:
            mistakes.append(_mistake(name, str(error), error.cure))
    if mistakes:
        raise InvalidConfig(mistakes)
    warnings = tuple(f"{name} is set: {why}" for name, why in WITHOUT_EFFECT.items() if environ.get(name))
    return Chosen(Document(_filled(_document().root, given)), warnings)


def in_use(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each variable of the preset and its value, the token's apart."""
    for name, default in _references().items():
        given = environ.get(name)
        yield name, "set" if name == TOKEN else given or f"{default} (default)"


def of_variables(error: ConfigError) -> ConfigError:
    """The mistake as one of the variables that stand at its place."""
    text = Marks(_document().root).text(error.path) or ""
    names = ", ".join(match[1] for match in VARIABLE.finditer(text))
    return _mistake(names or FILE, error.message, error.cure)


def _mistake(name: str, message: str, cure: str | None) -> ConfigError:
    return ConfigError(Location(ENVIRONMENT, 0, 0), (), f"{name}: {message}", cure)


@cache
def _document() -> Document:
    return read_document(TEXT.encode(), FILE)


@cache
def _references() -> Mapping[str, str]:
    """The variables that preset.yaml refers to, with their defaults."""
    found = {match[1]: match[2] or "" for match in VARIABLE.finditer(TEXT)}
    return MappingProxyType(dict(sorted(found.items())))


def _names() -> frozenset[str]:
    return frozenset({*_references(), *CHECKS})


def _checked(name: str, value: str) -> str:
    """The value as preset.yaml takes it; BadScalar where it cannot be used."""
    return CHECKS[name](value) if name in CHECKS else value


def _filled(node: tree.Node, environ: Mapping[str, str]) -> tree.Node:
    """The tree with its variables put in, so that mistakes quote what they hold."""
    if isinstance(node, tree.Mapping):
        entries = {key: entry._replace(value=_filled(entry.value, environ)) for key, entry in node.entries.items()}
        return tree.Mapping(node.at, entries, node.size)
    if isinstance(node, tree.Sequence):
        return tree.Sequence(node.at, tuple(_filled(item, environ) for item in node.items), node.size)
    if isinstance(node, tree.Scalar) and VARIABLE.search(node.text):
        return node._replace(text=_literal(substituted(node.text, environ)))
    return node


def _literal(value: str) -> str:
    """The value as it is written where `${` begins a reference."""
    return value.replace("${", "$${")


def _token(value: str) -> str:
    if not value:
        cure = "without it nobody may call: export it, such as `openssl rand -hex 32` makes one, or name a CONFIG file"
        raise BadScalar("is not set", cure)
    if value.startswith(IN_FILE):
        raise BadScalar("names a file, and the preset reads none", "put the token itself in, or name a CONFIG file")
    return value


def _host(value: str) -> str:
    try:
        address = ipaddress.ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise BadScalar(f"{value!r} is no IP address", "write one, such as 127.0.0.1, 0.0.0.0 or ::") from None
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6


def _port(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65_535:  # noqa: PLR2004 - 16 bits
        raise BadScalar(f"{value!r} is no port", "write a number from 1 to 65535")
    return value


def _truth(value: str) -> str:
    if value.lower() not in TRUTH:
        raise BadScalar(f"{value!r} is neither true nor false", "write true or false")
    return TRUTH[value.lower()]


def _backend(value: str) -> str:
    if value not in BACKENDS:
        raise BadScalar(f"{value!r} is no backend of this preset", f"write {BACKENDS[0]}, or name a CONFIG file")
    return value


def _database(value: str) -> str:
    if "?" in value or "#" in value or value.endswith("/"):
        raise BadScalar(f"{value!r} is no path of a file", "write one, such as /data/users.db")
    return str(Path(value).absolute())


CHECKS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        "GATEWAY_HOST": _host,
        "GATEWAY_PORT": _port,
        "OBSERVABILITY_HOST": _host,
        "OBSERVABILITY_PORT": _port,
        "METRICS_ENABLED": _truth,
        "DEFAULT_BACKEND": _backend,
        TOKEN: _token,
        "USER_DB_PATH": _database,
    }
)
