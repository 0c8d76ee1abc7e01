"""The key sets that a configuration wants fetched, and a configuration with those that were: they count as its files.

What a set holds is part of what a configuration was made of, so that another set is another configuration in the
history, and two control planes that hold the same sets serve the same versions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from control_plane.config.load import Loaded
from control_plane.config.model import Config, DiscoveryKeys, JwtIssuer, UrlKeys

# Sets by the name of their source, as JSON text.
KeySets = Mapping[str, bytes]


@dataclass(frozen=True)
class KeySource:
    """Where the set of an issuer is fetched; without a URL, the issuer's discovery document names it.

    `name` is what a fetched set is kept under: a set of one place never passes for that of another.
    """

    issuer: str
    url: str | None
    algorithms: tuple[str, ...]
    refresh: float
    private: bool

    @property
    def name(self) -> str:
        return key_set_name(self.issuer, self.url)


def key_set_name(issuer: str, url: str | None) -> str:
    """A name that is no path, for whatever stands in a URL."""
    place = "discovery" if url is None else quote(url, safe="")
    return f"<key set of {quote(issuer, safe='')} at {place}>"


def key_sources(config: Config) -> tuple[KeySource, ...]:
    """The sources of the issuers whose keys are fetched."""
    return tuple(source for issuer in config.identity.jwt if (source := key_source(issuer)) is not None)


def key_source(issuer: JwtIssuer) -> KeySource | None:
    """Where the issuer's set is fetched; None where its keys are in the configuration or its files."""
    keys = issuer.keys
    if isinstance(keys, UrlKeys):
        private = keys.private_addresses == "allow"
        return KeySource(issuer.issuer, str(keys.url), issuer.algorithms, keys.refresh, private)
    if isinstance(keys, DiscoveryKeys):
        fetching = keys.discovery
        private = fetching.private_addresses == "allow"
        return KeySource(issuer.issuer, None, issuer.algorithms, fetching.refresh, private)
    return None


def with_key_sets(loaded: Loaded, sets: KeySets) -> Loaded:
    """The configuration with these sets in place of others; of a source that has none, it keeps what it has."""
    found = dict(_held(loaded, sets))
    inputs = loaded.inputs
    others = {file: content for file, content in inputs.referenced.items() if not _is_key_set(file.name)}
    fetched = {Path(name): content for name, content in found.items()}
    referenced = {name: content for name, content in loaded.referenced.items() if not _is_key_set(name)}
    return replace(
        loaded,
        referenced=MappingProxyType(referenced | found),
        inputs=replace(inputs, referenced=MappingProxyType(others | fetched)),
    )


def key_sets_of(loaded: Loaded) -> KeySets:
    """The sets that the configuration has."""
    return {name: content for name, content in loaded.referenced.items() if _is_key_set(name)}


def recorded_key_sets(referenced: Mapping[Path, bytes]) -> KeySets:
    """The sets among what a configuration was once made of."""
    return {file.name: content for file, content in referenced.items() if _is_key_set(file.name)}


def _held(loaded: Loaded, sets: KeySets) -> Iterator[tuple[str, bytes]]:
    for source in key_sources(loaded.config):
        content = sets.get(source.name, loaded.referenced.get(source.name))
        if content is not None:
            yield source.name, content


def _is_key_set(name: str) -> bool:
    return name.startswith("<key set of ")
