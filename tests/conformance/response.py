"""A response of either protocol as tests compare it: by names, versions and bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_pb2 as route_pb
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb
from google.protobuf import any_pb2 as any_pb

from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE

WRAPPED_TYPE: Final = "type.googleapis.com/envoy.service.discovery.v3.Resource"
# How the state of the world names what it sends: resources say it themselves.
NAMES: Final = {
    SECRET_TYPE: lambda body: secret_pb.Secret.FromString(body).name,
    CLUSTER_TYPE: lambda body: cluster_pb.Cluster.FromString(body).name,
    ENDPOINTS_TYPE: lambda body: endpoint_pb.ClusterLoadAssignment.FromString(body).cluster_name,
    LISTENER_TYPE: lambda body: listener_pb.Listener.FromString(body).name,
    ROUTES_TYPE: lambda body: route_pb.RouteConfiguration.FromString(body).name,
}


@dataclass(frozen=True)
class Given:
    """A resource in a response; `body` is None where only its name and version were sent."""

    name: str
    body: bytes | None
    version: str = ""
    ttl: float | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Response:
    """What the server said of one type."""

    type_url: str
    version: str
    nonce: str
    given: tuple[Given, ...]
    removed: tuple[str, ...]
    errors: int

    @property
    def names(self) -> list[str]:
        """What came, by name, then what went, with a minus."""
        return [*sorted(item.name for item in self.given), *(f"-{name}" for name in sorted(self.removed))]

    @property
    def versions(self) -> Mapping[str, str]:
        return {item.name: item.version for item in self.given}

    @property
    def bodies(self) -> Mapping[str, bytes | None]:
        return {item.name: item.body for item in self.given}


def response_of(message: Any) -> Response:
    """The response as it was sent; Any: xds-protos has no annotations."""
    is_delta = isinstance(message, discovery_pb.DeltaDiscoveryResponse)
    return Response(
        type_url=message.type_url,
        version=message.system_version_info if is_delta else message.version_info,
        nonce=message.nonce,
        given=tuple(_wrapped(item) if is_delta else _packed(item) for item in message.resources),
        removed=tuple(message.removed_resources) if is_delta else (),
        errors=len(message.resource_errors),
    )


def _packed(item: any_pb.Any) -> Given:
    if item.type_url == WRAPPED_TYPE:
        return _wrapped(discovery_pb.Resource.FromString(item.value))
    name = NAMES.get(item.type_url, lambda body: "")
    return Given(name(item.value), item.value)


def _wrapped(item: Any) -> Given:
    """Any: xds-protos has no annotations."""
    return Given(
        name=item.name,
        body=item.resource.value if item.HasField("resource") else None,
        version=item.version,
        ttl=item.ttl.ToMicroseconds() / 1e6 if item.HasField("ttl") else None,
        aliases=tuple(item.aliases),
    )
