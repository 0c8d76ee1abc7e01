"""The gRPC services of the protocol: ADS for all types of a node on one stream, and one service for each type."""

from dataclasses import dataclass
from typing import Final

from control_plane.server.wire import ADS_SERVICE, DELTA, SOTW, Protocol
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE


@dataclass(frozen=True)
class DiscoveryService:
    """A service by its full name. `type_url` is the only type it knows; ADS has none and knows all."""

    name: str
    resources: str
    type_url: str = ""

    @property
    def methods(self) -> dict[str, Protocol]:
        """The protocol that each method speaks. The unary Fetch methods are not offered: nothing here polls."""
        return {f"Stream{self.resources}": SOTW, f"Delta{self.resources}": DELTA}


ADS: Final = DiscoveryService(ADS_SERVICE, "AggregatedResources")
SERVICES: Final = (
    ADS,
    DiscoveryService("envoy.service.listener.v3.ListenerDiscoveryService", "Listeners", LISTENER_TYPE),
    DiscoveryService("envoy.service.route.v3.RouteDiscoveryService", "Routes", ROUTES_TYPE),
    DiscoveryService("envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters", CLUSTER_TYPE),
    DiscoveryService("envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints", ENDPOINTS_TYPE),
    DiscoveryService("envoy.service.secret.v3.SecretDiscoveryService", "Secrets", SECRET_TYPE),
)
