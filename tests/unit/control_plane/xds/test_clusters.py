"""How each kind of address becomes a cluster."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb

from control_plane.ir.model import Address, Upstream
from control_plane.xds.clusters import endpoints, service_clusters, upstream_cluster
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint


def test_addresses_come_by_eds_and_names_by_dns() -> None:
    by_address = upstream_cluster(Upstream("a", (Address("10.0.0.1", 80), Address("::1", 80)), 1.5))
    by_name = upstream_cluster(Upstream("n", (Address("10.0.0.1", 80), Address("b.internal", 80)), 1.5))

    assert (by_address.type, by_address.HasField("load_assignment")) == (cluster_pb.Cluster.EDS, False)
    assert (by_name.type, len(by_name.load_assignment.endpoints[0].lb_endpoints)) == (cluster_pb.Cluster.STRICT_DNS, 2)
    assert by_address.connect_timeout.ToMilliseconds() == 1500


def test_endpoints_are_those_of_the_cluster() -> None:
    assignment = endpoints(Upstream("a", (Address("10.0.0.1", 81), Address("10.0.0.2", 82)), 1.0))

    found = [item.endpoint.address.socket_address for item in assignment.endpoints[0].lb_endpoints]
    assert assignment.cluster_name == "a"
    assert [(item.address, item.port_value) for item in found] == [("10.0.0.1", 81), ("10.0.0.2", 82)]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        pytest.param("unix:/run/a.sock", cluster_pb.Cluster.STATIC, id="socket"),
        pytest.param("127.0.0.1:9000", cluster_pb.Cluster.STATIC, id="address"),
        pytest.param("[::1]:9000", cluster_pb.Cluster.STATIC, id="ipv6"),
        pytest.param("authz.svc:9000", cluster_pb.Cluster.STRICT_DNS, id="name"),
    ],
)
def test_our_services_are_found_as_they_are_written(address: str, kind: int) -> None:
    wiring = Wiring(parse_endpoint(address), parse_endpoint("unix:/r"), "/dev/stdout")
    authz, ratelimit = service_clusters(wiring)

    assert (authz.name, ratelimit.name) == ("tollgate:authz", "tollgate:ratelimit")
    assert authz.type == kind
    assert authz.load_assignment.endpoints[0].lb_endpoints[0].endpoint.HasField("address")


def test_a_service_that_is_not_healthy_is_not_called() -> None:
    wiring = Wiring(parse_endpoint("unix:/a"), parse_endpoint("unix:/r"), "/dev/stdout")

    for cluster in service_clusters(wiring):
        assert cluster.common_lb_config.healthy_panic_threshold.value == 0
        assert cluster.common_lb_config.HasField("healthy_panic_threshold")
        assert cluster.health_checks[0].no_traffic_interval == cluster.health_checks[0].interval
