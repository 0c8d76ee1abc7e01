"""The pipeline on one screen: YAML -> model -> intermediate representation -> resources and policies -> snapshots."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.config.errors import InvalidConfig
from control_plane.config.load import Loaded, load
from control_plane.consistency import checked
from control_plane.ir.build import build
from control_plane.ir.model import Gateway
from control_plane.ir.warnings import warnings
from control_plane.policies.authz import authz_policy
from control_plane.policies.limits import limit_sets
from control_plane.snapshot import Resource, Snapshot, resource, snapshot
from control_plane.xds import names
from control_plane.xds.clusters.endpoints import endpoints
from control_plane.xds.clusters.services import service_clusters
from control_plane.xds.clusters.upstream import upstream_cluster
from control_plane.xds.https_redirect import redirect_configuration
from control_plane.xds.listener.listeners import listeners
from control_plane.xds.packing import serialized
from control_plane.xds.routes import route_configuration
from control_plane.xds.secrets import secrets
from control_plane.xds.wiring import Wiring
from service_kit import contract
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

    def warnings(self, now: float) -> tuple[str, ...]:
        """What the admin should hear of although it is enforced; `now` in seconds since the epoch."""
        found = warnings(self.loaded.config, now)
        return (*self.loaded.warnings, *(str(self.loaded.marks.located(problem)) for problem in found))


def compile_file(path: Path | None, environ: Mapping[str, str]) -> Checked:
    """The configuration of this file or directory, or the environment's preset; InvalidConfig with every mistake."""
    loaded = load(path, environ)
    built = build(loaded.config, loaded.referenced)
    if built.gateway is None:
        raise InvalidConfig(map(loaded.marks.located, built.problems), loaded.files)
    return Checked(loaded, built.gateway)


def snapshots(gateway: Gateway, wiring: Wiring) -> tuple[Snapshot, Snapshot]:
    """All that an Envoy and all that the services are told; InconsistentSnapshot where the compiler is at fault."""
    policies = snapshot(_policy_resources(gateway))
    return checked(snapshot(_envoy_resources(gateway, wiring)), policies), policies


def _envoy_resources(gateway: Gateway, wiring: Wiring) -> Iterator[Resource]:
    for item in gateway.listeners:
        for listener in listeners(gateway, item, wiring):
            yield resource(names.LISTENER_TYPE, listener.name, bytes(listener))
    yield resource(names.ROUTES_TYPE, names.ROUTES, serialized(route_configuration(gateway)))
    for port in sorted({item.https_redirect for item in gateway.listeners if item.https_redirect is not None}):
        routes = redirect_configuration(port)
        yield resource(names.ROUTES_TYPE, routes.name, serialized(routes))
    for cluster in service_clusters(wiring):
        yield resource(names.CLUSTER_TYPE, cluster.name, serialized(cluster))
    for upstream in gateway.upstreams:
        yield resource(names.CLUSTER_TYPE, upstream.name, serialized(upstream_cluster(upstream)))
        if upstream.resolved:
            yield resource(names.ENDPOINTS_TYPE, upstream.name, serialized(endpoints(upstream)))
    for secret in secrets(gateway):
        yield resource(names.SECRET_TYPE, secret.name, serialized(secret))


def _policy_resources(gateway: Gateway) -> Iterator[Resource]:
    yield resource(contract.AUTHZ_POLICY_TYPE, contract.AUTHZ_POLICY_NAME, serialized(authz_policy(gateway)))
    for name, limits in limit_sets(gateway):
        yield resource(contract.LIMIT_SET_TYPE, name, serialized(limits))
