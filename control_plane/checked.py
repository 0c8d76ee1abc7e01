"""What a configuration means, or why it means nothing: all that who reads one needs, and nothing of Envoy's interface.

That takes most of a second to import, which `tollgate run` would spend before it starts anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from control_plane.config.discovered import Found, with_discovered
from control_plane.config.errors import InvalidConfig, Location
from control_plane.config.errors import Path as KeyPath
from control_plane.config.key_sets import KeySets, with_key_sets
from control_plane.config.load import Known, Loaded, load
from control_plane.ir.build import Builder
from control_plane.ir.checks.ways import translated_calls
from control_plane.ir.llm.places import place_of
from control_plane.ir.model import Gateway
from control_plane.ir.warnings import warnings
from service_kit.collector import without_collections
from service_kit.endpoint import TcpEndpoint


@dataclass(frozen=True)
class Checked:
    """A configuration that can be enforced: what was written, and what it means."""

    loaded: Loaded
    gateway: Gateway

    @property
    def listeners(self) -> Mapping[str, TcpEndpoint]:
        """Addresses of the listeners, by name."""
        return {name: item.address for name, item in self.loaded.config.listeners.items()}

    @property
    def encrypted(self) -> frozenset[str]:
        """Names of the listeners with TLS."""
        return frozenset(item.name for item in self.gateway.listeners if item.tls is not None)

    @property
    def http3(self) -> frozenset[str]:
        """Names of the listeners that take their port over UDP too."""
        return frozenset(item.name for item in self.gateway.listeners if item.http3)

    @property
    def admin_address(self) -> TcpEndpoint:
        return self.loaded.config.admin.address

    def check_untranslated(self) -> None:
        """InvalidConfig where calls of a model have to be translated, for a gateway that has nobody to do it."""
        if lacking := tuple(translated_calls(self.loaded.config)):
            raise InvalidConfig(map(self.loaded.marks.located, lacking), self.loaded.files)

    def place(self, kind: str, name: str) -> Location:
        """Where a route, upstream or listener was written; `kind` is the section's key. That of a model: the model."""
        return self.loaded.marks.at(self._place_of_route(name) if kind == "routes" else (kind, name), at_key=True)

    def _place_of_route(self, name: str) -> KeyPath:
        index = self._route_places.get(name)
        return place_of(name, self.loaded.config) if index is None else ("routes", index)

    @cached_property
    def _route_places(self) -> Mapping[str, int]:
        return {route.name: index for index, route in enumerate(self.loaded.config.routes)}

    def warnings(self, now: float) -> tuple[str, ...]:
        """What the admin should hear of although it is enforced; `now` in seconds since the epoch."""
        found = warnings(self.loaded.config, now)
        return (*self.loaded.warnings, *(str(self.loaded.marks.located(problem)) for problem in found))


class Checker:
    """Checks one configuration after the other, by one thread at a time; an edit costs what it changes."""

    def __init__(self) -> None:
        self._known = Known()
        self._builder = Builder()

    def read(
        self, path: Path | None, environ: Mapping[str, str], sets: KeySets | None = None, found: Found | None = None
    ) -> Checked:
        """The configuration of this file or directory, or the environment's preset, with the key sets that were
        fetched and the models that were found; InvalidConfig with every mistake.
        """
        with without_collections():
            loaded = with_key_sets(load(path, environ, self._known), sets or {})
            return meant(with_discovered(loaded, found or {}), self._builder)

    def meant(self, loaded: Loaded) -> Checked:
        """What a configuration means that was loaded from elsewhere; InvalidConfig where it cannot be enforced."""
        with without_collections():
            return meant(loaded, self._builder)


def meant(loaded: Loaded, builder: Builder) -> Checked:
    built = builder.build(loaded.config, loaded.referenced)
    if built.gateway is None:
        raise InvalidConfig(map(loaded.marks.located, built.problems), loaded.files)
    return Checked(loaded, built.gateway)
