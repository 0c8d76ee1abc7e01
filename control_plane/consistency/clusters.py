"""Clusters beside their endpoints and secrets: what is wanted is there, and what is there is wanted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http_options_pb

from control_plane.reuse import Reused
from control_plane.snapshot import Resource, Snapshot
from control_plane.xds import names
from control_plane.xds.clusters.protocol import HTTP_OPTIONS
from control_plane.xds.references import visit_secret_references

# Clusters that the filters call.
CALLED: Final = (names.AUTHZ_CLUSTER, names.RATELIMIT_CLUSTER)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What matters of a cluster; where `keeps_answers`, what one visitor alone may see is marked."""

    resource: Resource
    discovered: bool
    speaks_http2: bool
    keeps_answers: bool
    # The listeners of Envoy's own that its endpoints are.
    inside: frozenset[str]
    secrets: frozenset[str]


class Clusters:
    """Reads clusters, each once."""

    def __init__(self) -> None:
        self.read: Reused[int, Cluster] = Reused()

    def of(self, snapshot: Snapshot) -> dict[str, Cluster]:
        """The clusters of a snapshot, by name."""
        return {name: self._cluster(item) for name, item in snapshot.of(names.CLUSTER_TYPE).items()}

    def _cluster(self, item: Resource) -> Cluster:
        known = self.read.get(id(item))
        if known is None:
            known = self.read[id(item)] = _cluster(item)
        return known


def _cluster(item: Resource) -> Cluster:
    cluster = cluster_pb.Cluster.FromString(item.body)
    wanted: set[str] = set()
    visit_secret_references(cluster, lambda found: wanted.add(found.name))
    options = http_options_pb.HttpProtocolOptions()
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    return Cluster(
        resource=item,
        discovered=cluster.type == cluster_pb.Cluster.EDS,
        speaks_http2=options.explicit_http_config.HasField("http2_protocol_options"),
        keeps_answers=any(link.name == names.KEPT_ANSWERS for link in options.http_filters),
        inside=frozenset(_inside(cluster)),
        secrets=frozenset(wanted),
    )


def _inside(cluster: cluster_pb.Cluster) -> Iterator[str]:
    for endpoint in (item.endpoint for group in cluster.load_assignment.endpoints for item in group.lb_endpoints):
        if endpoint.address.HasField("envoy_internal_address"):
            yield endpoint.address.envoy_internal_address.server_listener_name


def cluster_faults(clusters: dict[str, Cluster], snapshot: Snapshot) -> Iterator[str]:
    """Clusters without endpoints, endpoints without a cluster, and clusters that filters miss."""
    endpoints = snapshot.of(names.ENDPOINTS_TYPE)
    for name, cluster in clusters.items():
        if cluster.discovered != (name in endpoints):
            yield f"cluster {name!r} and its endpoints do not belong together"
    yield from (f"endpoints {name!r} belong to no cluster" for name in endpoints if name not in clusters)
    yield from (f"cluster {name!r}, which filters call, is not there" for name in CALLED if name not in clusters)


def secret_faults(wanted: frozenset[str], snapshot: Snapshot) -> Iterator[str]:
    """Envoy waits for a secret that nobody has, and the cluster or listener that wants it never comes to be."""
    secrets = snapshot.of(names.SECRET_TYPE).keys()
    yield from (f"secret {name!r} is wanted, and is not there" for name in sorted(wanted - secrets))
    yield from (f"secret {name!r} is there, and nothing wants it" for name in sorted(secrets - wanted))
