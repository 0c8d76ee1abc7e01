"""Endpoints of an upstream, and the names they are known by."""

from envoy.config.core.v3 import address_pb2 as address_pb
from envoy.config.endpoint.v3 import endpoint_components_pb2 as endpoint_components_pb
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb

from control_plane.config.values import authority
from control_plane.ir.model import Address, Upstream

# Where a cluster has several transport sockets, Envoy takes the one whose `match` is in this metadata of the endpoint.
TRANSPORT_MATCH = "envoy.transport_socket_match"
HOST_KEY = "host"


def endpoints(upstream: Upstream) -> endpoint_pb.ClusterLoadAssignment:
    """The endpoints of an upstream, all of one weight."""
    assignment = endpoint_pb.ClusterLoadAssignment(cluster_name=upstream.name)
    group = assignment.endpoints.add()
    for address in upstream.endpoints:
        group.lb_endpoints.append(_endpoint(address, upstream))
    return assignment


def socket(address: Address) -> address_pb.Address:
    return address_pb.Address(socket_address=address_pb.SocketAddress(address=address.host, port_value=address.port))


def told_apart(upstream: Upstream) -> bool:
    """Whether each endpoint is verified by a name of its own."""
    tls = upstream.tls
    return tls is not None and tls.server_name is None and len({item.host for item in upstream.endpoints}) > 1


def _endpoint(address: Address, upstream: Upstream) -> endpoint_components_pb.LbEndpoint:
    built = endpoint_components_pb.LbEndpoint()
    built.endpoint.address.CopyFrom(socket(address))
    # The Host of requests that ask for the endpoint's, and of health checks.
    built.endpoint.hostname = authority(address.host, address.port, tls=upstream.tls is not None)
    built.endpoint.health_check_config.hostname = built.endpoint.hostname
    if told_apart(upstream):
        built.metadata.filter_metadata[TRANSPORT_MATCH].update({HOST_KEY: address.host})
    return built
