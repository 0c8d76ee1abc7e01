"""The key sets that a configuration wants fetched, and one with those that were: they count as its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from control_plane.config.fetched import recorded, with_fetched
from control_plane.config.load import Loaded
from control_plane.config.model import Config, DiscoveryKeys, JwtIssuer, UrlKeys

PREFIX: Final = "<key set of "
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
    return f"{PREFIX}{quote(issuer, safe='')} at {place}>"


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
    return with_fetched(loaded, PREFIX, (source.name for source in key_sources(loaded.config)), sets)


def key_sets_of(loaded: Loaded) -> KeySets:
    """The sets that the configuration has."""
    return {name: content for name, content in loaded.referenced.items() if name.startswith(PREFIX)}


def recorded_key_sets(referenced: Mapping[Path, bytes]) -> KeySets:
    """The sets among what a configuration was once made of."""
    return recorded(referenced, PREFIX)
