"""The pipeline on one screen: YAML -> model -> intermediate representation -> resources and policies -> snapshots."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from control_plane.checked import Checked, Checker, meant
from control_plane.config.discovered import Found, with_discovered
from control_plane.config.key_sets import KeySets, with_key_sets
from control_plane.config.load import load
from control_plane.consistency import Inspector
from control_plane.ir.build import Builder
from control_plane.ir.model import Gateway
from control_plane.resources import Resources
from control_plane.snapshot import EMPTY, Release, Resource, Snapshot, snapshot
from control_plane.xds.wiring import Wiring
from service_kit.collector import without_collections


def compile_file(path: Path | None, environ: Mapping[str, str]) -> Checked:
    """The configuration of this file or directory, or the environment's preset; InvalidConfig with every mistake."""
    return meant(load(path, environ), Builder())


def with_fetched(checked: Checked, sets: KeySets, found: Found | None = None) -> Checked:
    """The same configuration with these key sets and models, as far as it has them fetched."""
    return meant(with_discovered(with_key_sets(checked.loaded, sets), found or {}), Builder())


def snapshots(gateway: Gateway, wiring: Wiring) -> tuple[Snapshot, Snapshot]:
    """All that an Envoy and all that the services are told; InconsistentSnapshot where the compiler is at fault."""
    release = _release(gateway, Resources(wiring), Inspector(), Release(EMPTY, EMPTY))
    return release.envoy, release.policies


def check_services(checked: Checked, wiring: Wiring) -> None:
    """InvalidConfig where a configuration needs a process that this gateway does not have."""
    if wiring.translator is None:
        checked.check_untranslated()


class Compiler(Checker):
    """Compiles one configuration after the other, by one thread at a time; an edit costs what it changes.

    What is made of the same as before is the same object as before: routes, upstreams, resources, and the mapping of a
    type. Nothing is remembered but of the last good configuration and the last one tried.
    """

    def __init__(self, wiring: Wiring) -> None:
        super().__init__()
        self._wiring = wiring
        self._resources = Resources(wiring)
        self._inspector = Inspector()
        self._last = Release(EMPTY, EMPTY)

    def check_services(self, checked: Checked) -> None:
        """InvalidConfig where it needs a process that is not there."""
        check_services(checked, self._wiring)

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


def _release(gateway: Gateway, resources: Resources, inspector: Inspector, last: Release) -> Release:
    envoy = _as_before(resources.of_envoy(gateway), last.envoy)
    policies = _as_before(resources.of_services(gateway), last.policies)
    return Release(inspector.checked(envoy, policies), policies)


def _as_before(resources: Iterable[Resource], before: Snapshot) -> Snapshot:
    """The snapshot of these resources; what is as it was, of the same objects."""
    return snapshot(_same(item, before.of(item.type_url).get(item.name)) for item in resources).sharing(before)


def _same(item: Resource, before: Resource | None) -> Resource:
    return before if before is not None and before == item else item
