"""The whole check: everything alone, and routes beside what they refer to; what was found right stays so.

A route is right or wrong by its bytes and by what there is of what it refers to: where both are as they were when it
was found right, it is not looked at again.
"""

from collections.abc import Iterator
from typing import NamedTuple

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.consistency.clusters import Clusters, cluster_faults, secret_faults
from control_plane.consistency.groups import group_faults as envoy_group_faults
from control_plane.consistency.listeners import Listeners, chain_problems, passage_faults
from control_plane.consistency.routes import Around, Member, Referred, group_faults, referred, route_faults
from control_plane.consistency.surroundings import Limits, Surroundings, surroundings
from control_plane.reuse import Reused
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.fields import parted


class InconsistentSnapshot(Exception):  # noqa: N818 - it is the snapshot that is inconsistent
    """A snapshot that must not be published: a fault of the compiler, not of the configuration."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class _Right(NamedTuple):
    """A route without fault, where this is around it; it was last looked up in `there`."""

    referred: Referred
    around: Around
    there: Surroundings


def checked(snapshot: Snapshot, policies: Snapshot) -> Snapshot:
    """The snapshot, or InconsistentSnapshot with every fault found in it, alone and beside the services' policies."""
    return Inspector().checked(snapshot, policies)


class Inspector:
    """Checks one snapshot after the other."""

    def __init__(self) -> None:
        self._clusters = Clusters()
        self._listeners = Listeners()
        self._limits = Limits()
        self._right: Reused[bytes, _Right] = Reused()
        self._there: tuple[Surroundings, ...] = ()  # of a whole gateway, and of the part that was tried before it

    def begin(self) -> None:
        """From here on, another configuration's snapshot is at hand."""
        for kept in (self._clusters.read, self._listeners.read, self._limits.read, self._right):
            kept.begin()

    def succeeded(self) -> None:
        """The snapshot at hand is of a good configuration."""
        for kept in (self._clusters.read, self._listeners.read, self._limits.read, self._right):
            kept.succeeded()

    def checked(self, snapshot: Snapshot, policies: Snapshot) -> Snapshot:
        """The snapshot, or InconsistentSnapshot with every fault found in it, alone and beside the policies."""
        if faults := tuple(self._faults(snapshot, policies)):
            raise InconsistentSnapshot(faults)
        return snapshot

    def _faults(self, snapshot: Snapshot, policies: Snapshot) -> Iterator[str]:
        clusters, listeners = self._clusters.of(snapshot), self._listeners.of(snapshot)
        yield from cluster_faults(clusters, snapshot)
        yield from passage_faults(clusters, listeners)
        wanted = [cluster.secrets for cluster in clusters.values()] + [listener.secrets for listener in listeners]
        yield from secret_faults(frozenset().union(*wanted), snapshot)
        yield from envoy_group_faults(snapshot)
        yield from chain_problems(listeners, snapshot)
        there = surroundings(clusters, listeners, self._limits.of(policies))
        # Told by identity that nothing is different.
        there = next((known for known in self._there if known == there), there)
        self._there = (there, *(known for known in self._there if known is not there))[:2]
        for item in snapshot.of(names.ROUTES_TYPE).values():
            yield from self._routing_faults(item.body, there)

    def _routing_faults(self, body: bytes, there: Surroundings) -> Iterator[str]:
        hosts, rest = parted(route_configuration_pb.RouteConfiguration, "virtual_hosts", body)
        configuration = route_configuration_pb.RouteConfiguration.FromString(rest)
        if configuration.typed_per_filter_config:
            yield f"routes {configuration.name!r} speak to filters for all routes at once"
        for content in hosts:
            routes, rest = parted(route_pb.VirtualHost, "routes", content)
            host = route_pb.VirtualHost.FromString(rest)
            if host.typed_per_filter_config:
                yield f"virtual host {host.name!r} speaks to filters for all its routes at once"
            members: list[Member] = []
            for route in routes:
                found, faults = self._route(route, there)
                yield from faults
                if found.member is not None:
                    members.append(found.member)
            yield from group_faults(members)

    def _route(self, content: bytes, there: Surroundings) -> tuple[Referred, tuple[str, ...]]:
        known = self._right.get(content)
        if known is not None and known.there is there:
            return known.referred, ()
        if known is not None and known.around == there.of(known.referred):
            self._right[content] = known._replace(there=there)
            return known.referred, ()
        route = route_pb.Route.FromString(content)
        found = referred(route)
        around = there.of(found)
        faults = tuple(route_faults(route, around))
        if not faults:
            self._right[content] = _Right(found, around, there)
        return found, faults
