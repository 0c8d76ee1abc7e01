"""Endpoints of an upstream, and the names they are known by."""

from collections.abc import Iterable, Sequence

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
    return _assignment(upstream.name, [_endpoint(address, upstream) for address in upstream.endpoints])


def endpoints_of_service(upstream: str, addresses: Iterable[tuple[Address, str]]) -> endpoint_pb.ClusterLoadAssignment:
    """The endpoints of an upstream that others tell, each with the name it is known by, all of one weight."""
    return _assignment(upstream, [_known(address, known_as) for address, known_as in addresses])


def socket(address: Address) -> address_pb.Address:
    return address_pb.Address(socket_address=address_pb.SocketAddress(address=address.host, port_value=address.port))


def told_apart(upstream: Upstream) -> bool:
    """Whether each endpoint is verified by a name of its own."""
    tls = upstream.tls
    return tls is not None and tls.server_name is None and len({item.host for item in upstream.endpoints}) > 1


def _assignment(upstream: str, built: Sequence[endpoint_components_pb.LbEndpoint]) -> endpoint_pb.ClusterLoadAssignment:
    assignment = endpoint_pb.ClusterLoadAssignment(cluster_name=upstream)
    if built:
        assignment.endpoints.add().lb_endpoints.extend(built)
    return assignment


def _known(address: Address, known_as: str) -> endpoint_components_pb.LbEndpoint:
    built = endpoint_components_pb.LbEndpoint()
    built.endpoint.address.CopyFrom(socket(address))
    # The Host of requests that ask for the endpoint's, and of health checks.
    built.endpoint.hostname = known_as
    built.endpoint.health_check_config.hostname = known_as
    return built


def _endpoint(address: Address, upstream: Upstream) -> endpoint_components_pb.LbEndpoint:
    built = _known(address, authority(address.host, address.port, tls=upstream.tls is not None))
    if told_apart(upstream):
        built.metadata.filter_metadata[TRANSPORT_MATCH].update({HOST_KEY: address.host})
    return built
