"""An upstream as calls of a model reach it: a cluster whose only endpoint is a listener of Envoy's own.

What becomes of a call there (`listener/variants.py`) stays there: where it fails and another target is asked, that one
gets the call as it came, without the name of the model, the path or the credential of the one before. And whatever is
wrong with the upstream is an answer by then, after which another one is asked: that it has no endpoint, or more calls
than its circuit breaker lets pass. The upstream's own cluster is behind it, with its health and all that bounds it.
"""

from typing import Final

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.extensions.transport_sockets.internal_upstream.v3 import internal_upstream_pb2 as internal_upstream_pb
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2 as raw_buffer_pb

from control_plane.ir.model import Variant
from control_plane.xds.packing import packed, seconds

# Within the process: there is nothing to wait for.
CONNECT_TIMEOUT: Final = 1.0
# The bounds are those of the upstream behind; Envoy has some by default.
UNBOUNDED: Final = 1 << 30


def variant_cluster(variant: Variant) -> cluster_pb.Cluster:
    """The cluster, named as its listener."""
    cluster = cluster_pb.Cluster(
        name=variant.name, type=cluster_pb.Cluster.STATIC, connect_timeout=seconds(CONNECT_TIMEOUT)
    )
    thresholds = cluster.circuit_breakers.thresholds.add()
    for bound in (thresholds.max_connections, thresholds.max_pending_requests, thresholds.max_requests):
        bound.value = UNBOUNDED
    thresholds.max_retries.value = UNBOUNDED
    cluster.load_assignment.cluster_name = variant.name
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.envoy_internal_address.server_listener_name = variant.name
    socket = internal_upstream_pb.InternalUpstreamTransport()
    socket.transport_socket.name = "envoy.transport_sockets.raw_buffer"
    socket.transport_socket.typed_config.CopyFrom(packed(raw_buffer_pb.RawBuffer()))
    cluster.transport_socket.name = "envoy.transport_sockets.internal_upstream"
    cluster.transport_socket.typed_config.CopyFrom(packed(socket))
    return cluster
