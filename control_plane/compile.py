"""The pipeline on one screen: YAML -> model -> intermediate representation -> resources and policies -> snapshots."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from control_plane.config.errors import InvalidConfig, Location
from control_plane.config.key_sets import KeySets, with_key_sets
from control_plane.config.load import Known, Loaded, load
from control_plane.consistency import Inspector
from control_plane.ir.build import Builder
from control_plane.ir.model import Gateway
from control_plane.ir.warnings import warnings
from control_plane.resources import Resources
from control_plane.snapshot import EMPTY, Release, Resource, Snapshot, snapshot
from control_plane.xds.wiring import Wiring
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

    def place(self, kind: str, name: str) -> Location:
        """Where a route, upstream or listener was written; `kind` is the section's key."""
        return self.loaded.marks.at((kind, self._route_places[name] if kind == "routes" else name), at_key=True)

    @cached_property
    def _route_places(self) -> Mapping[str, int]:
        return {route.name: index for index, route in enumerate(self.loaded.config.routes)}

    def warnings(self, now: float) -> tuple[str, ...]:
        """What the admin should hear of although it is enforced; `now` in seconds since the epoch."""
        found = warnings(self.loaded.config, now)
        return (*self.loaded.warnings, *(str(self.loaded.marks.located(problem)) for problem in found))


def compile_file(path: Path | None, environ: Mapping[str, str]) -> Checked:
    """The configuration of this file or directory, or the environment's preset; InvalidConfig with every mistake."""
    return _meant(load(path, environ), Builder())


def with_fetched(checked: Checked, sets: KeySets) -> Checked:
    """The same configuration with these key sets, as far as its issuers have them fetched."""
    return _meant(with_key_sets(checked.loaded, sets), Builder())


def snapshots(gateway: Gateway, wiring: Wiring) -> tuple[Snapshot, Snapshot]:
    """All that an Envoy and all that the services are told; InconsistentSnapshot where the compiler is at fault."""
    release = _release(gateway, Resources(wiring), Inspector(), Release(EMPTY, EMPTY))
    return release.envoy, release.policies


class Compiler:
    """Compiles one configuration after the other, by one thread at a time; an edit costs what it changes.

    What is made of the same as before is the same object as before: routes, upstreams, resources, and the mapping of a
    type. Nothing is remembered but of the last good configuration and the last one tried.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._known = Known()
        self._builder = Builder()
        self._resources = Resources(wiring)
        self._inspector = Inspector()
        self._last = Release(EMPTY, EMPTY)

    def read(self, path: Path | None, environ: Mapping[str, str], sets: KeySets | None = None) -> Checked:
        """As compile_file, with the key sets that were fetched."""
        with without_collections():
            return _meant(with_key_sets(load(path, environ, self._known), sets or {}), self._builder)

    def meant(self, loaded: Loaded) -> Checked:
        """What a configuration means that was loaded from elsewhere; InvalidConfig where it cannot be enforced."""
        with without_collections():
            return _meant(loaded, self._builder)

    def release(self, gateway: Gateway) -> Release:
        """As snapshots."""
        self._last = self.trial(gateway)
        self._resources.succeeded()
        self._inspector.succeeded()
        return self._last

    def trial(self, gateway: Gateway) -> Release:
        """The release of what may not go live, or of a part of a gateway; nothing of the last release is forgotten."""
        self._resources.begin()
        self._inspector.begin()
        with without_collections():
            return _release(gateway, self._resources, self._inspector, self._last)


def _meant(loaded: Loaded, builder: Builder) -> Checked:
    built = builder.build(loaded.config, loaded.referenced)
    if built.gateway is None:
        raise InvalidConfig(map(loaded.marks.located, built.problems), loaded.files)
    return Checked(loaded, built.gateway)


def _release(gateway: Gateway, resources: Resources, inspector: Inspector, last: Release) -> Release:
    envoy = _as_before(resources.of_envoy(gateway), last.envoy)
    policies = _as_before(resources.of_services(gateway), last.policies)
    return Release(inspector.checked(envoy, policies), policies)


def _as_before(resources: Iterable[Resource], before: Snapshot) -> Snapshot:
    """The snapshot of these resources; what is as it was, of the same objects."""
    return snapshot(_same(item, before.of(item.type_url).get(item.name)) for item in resources).sharing(before)


def _same(item: Resource, before: Resource | None) -> Resource:
    return before if before is not None and before == item else item
