"""Resources of a gateway: what Envoys and what the services are told, message by message."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from control_plane.ir.model import NOBODY, Gateway, Upstream
from control_plane.policies.authz import authz_policy
from control_plane.policies.ledger import ledger_policy
from control_plane.policies.limits import Owner, limit_set, limited
from control_plane.reuse import Reused
from control_plane.snapshot import Resource, resource
from control_plane.xds import names
from control_plane.xds.clusters.endpoints import endpoints
from control_plane.xds.clusters.services import (
    nobody_cluster,
    oauth_cluster,
    service_clusters,
    translator_cluster,
    usage_cluster,
)
from control_plane.xds.clusters.upstream import upstream_cluster
from control_plane.xds.clusters.variants import variant_cluster
from control_plane.xds.filters.llm.groups import is_last
from control_plane.xds.https_redirect import redirect_configuration
from control_plane.xds.listener.listeners import listeners, shown_to_listeners
from control_plane.xds.listener.variants import Way, variant_listener, ways
from control_plane.xds.packing import serialized
from control_plane.xds.routes import RouteTable
from control_plane.xds.secrets import own_secrets, secrets
from control_plane.xds.system_routes import system_routes
from control_plane.xds.visibility import EVERYBODY, visibility
from control_plane.xds.wiring import Wiring
from service_kit import contract

Part = Owner | Upstream
P = TypeVar("P", Upstream, Owner)


class Resources:
    """Makes the resources of one gateway after the other; of a part that is the same object, they are the same."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._routes = RouteTable()
        self._made: Reused[int, tuple[Part, tuple[Resource, ...]]] = Reused()
        self._ways: Reused[Way, tuple[Resource, ...]] = Reused()
        # Of the last good gateway, then of the last one tried; each with all that it was made of.
        self._listeners: tuple[tuple[Gateway, tuple[Resource, ...]], ...] = ()

    def begin(self) -> None:
        """From here on, another gateway is at hand."""
        self._routes.begin()
        self._made.begin()
        self._ways.begin()

    def succeeded(self) -> None:
        """The gateway at hand is a good one."""
        self._routes.succeeded()
        self._made.succeeded()
        self._ways.succeeded()
        self._listeners = self._listeners[-1:]

    def of_envoy(self, gateway: Gateway) -> Iterator[Resource]:
        """What Envoys are told."""
        seen = visibility(gateway)
        for item in self._of_envoy(gateway):
            groups = seen.get((item.type_url, item.name), EVERYBODY)
            yield replace(item, groups=groups) if groups else item

    def of_services(self, gateway: Gateway) -> Iterator[Resource]:
        """What the services are told."""
        yield resource(contract.AUTHZ_POLICY_TYPE, contract.AUTHZ_POLICY_NAME, self._authz_policy(gateway))
        if gateway.ledger is not None:
            policy = serialized(ledger_policy(gateway.ledger))
            yield resource(contract.LEDGER_POLICY_TYPE, contract.LEDGER_POLICY_NAME, policy)
        for route in system_routes(gateway):
            if route.exempt:
                yield from _limits(route)
        for owner in limited(gateway):
            yield from self._of_part(owner, _limits)

    def _authz_policy(self, gateway: Gateway) -> bytes:
        pepper = self._wiring.key_pepper
        has_own = gateway.api_keys is None or gateway.api_keys.pepper is not None
        return serialized(authz_policy(gateway, b"" if has_own or pepper is None else pepper().reveal()))

    def _of_envoy(self, gateway: Gateway) -> Iterator[Resource]:
        yield from self._listening(shown_to_listeners(gateway))
        yield resource(names.ROUTES_TYPE, names.ROUTES, self._routes.serialized(gateway))
        for port in sorted({item.https_redirect for item in gateway.listeners if item.https_redirect is not None}):
            routes = redirect_configuration(port)
            yield resource(names.ROUTES_TYPE, routes.name, serialized(routes))
        for cluster in service_clusters(self._wiring):
            yield resource(names.CLUSTER_TYPE, cluster.name, serialized(cluster))
        if gateway.tokens is not None and self._wiring.oauth is not None:
            yield resource(names.CLUSTER_TYPE, names.OAUTH_CLUSTER, serialized(oauth_cluster(self._wiring.oauth)))
        if gateway.ledger is not None and self._wiring.usage is not None:
            yield resource(names.CLUSTER_TYPE, names.USAGE_CLUSTER, serialized(usage_cluster(self._wiring.usage)))
        for upstream in gateway.upstreams:
            yield from self._of_part(upstream, _reached)
        yield from self._of_models(gateway)
        for secret in (*secrets(gateway), *own_secrets(self._wiring.followed)):
            yield resource(names.SECRET_TYPE, secret.name, serialized(secret))

    def _of_models(self, gateway: Gateway) -> Iterator[Resource]:
        """What is only there because of language models."""
        if any(is_last(route) for route in gateway.routes):
            yield resource(names.CLUSTER_TYPE, NOBODY, serialized(nobody_cluster()))
        if self._wiring.translator is not None and gateway.llm is not None and gateway.llm.translates:
            cluster = translator_cluster(self._wiring.translator, self._wiring)
            yield resource(names.CLUSTER_TYPE, cluster.name, serialized(cluster))
        for way in ways(gateway):
            yield from self._ways.get(way) or self._made_way(way)

    def _made_way(self, way: Way) -> tuple[Resource, ...]:
        name = way.variant.name
        made = (
            resource(names.CLUSTER_TYPE, name, serialized(variant_cluster(way.variant))),
            resource(names.LISTENER_TYPE, name, serialized(variant_listener(way))),
        )
        self._ways[way] = made
        return made

    def _listening(self, gateway: Gateway) -> tuple[Resource, ...]:
        found = next((found for known, found in self._listeners if known == gateway), None)
        if found is None:
            made = (made for item in gateway.listeners for made in listeners(gateway, item, self._wiring))
            found = tuple(resource(names.LISTENER_TYPE, listener.name, bytes(listener)) for listener in made)
        self._listeners = (*self._listeners[:1], (gateway, found))
        return found

    def _of_part(self, part: P, make: Callable[[P], Iterable[Resource]]) -> tuple[Resource, ...]:
        known = self._made.get(id(part))
        if known is None:
            known = self._made[id(part)] = part, tuple(make(part))
        return known[1]


def _reached(upstream: Upstream) -> Iterator[Resource]:
    yield resource(names.CLUSTER_TYPE, upstream.name, serialized(upstream_cluster(upstream)))
    if upstream.resolved:
        yield resource(names.ENDPOINTS_TYPE, upstream.name, serialized(endpoints(upstream)))


def _limits(owner: Owner) -> Iterator[Resource]:
    name, limits = limit_set(owner)
    yield resource(contract.LIMIT_SET_TYPE, name, serialized(limits))
