"""How our own services are reached, and that none is called that is not well."""

import pytest

from control_plane.xds.clusters.services import service_clusters
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        pytest.param("unix:/run/a.sock", "", id="socket"),
        pytest.param("127.0.0.1:9000", "", id="address"),
        pytest.param("[::1]:9000", "", id="ipv6"),
        pytest.param("authz.svc:9000", "envoy.cluster.dns", id="name"),
    ],
)
def test_our_services_are_found_as_they_are_written(address: str, kind: str) -> None:
    wiring = Wiring(parse_endpoint(address), parse_endpoint("unix:/r"), "/dev/stdout")
    authz, ratelimit = service_clusters(wiring)

    assert (authz.name, ratelimit.name) == ("tollgate:authz", "tollgate:ratelimit")
    assert authz.cluster_type.name == kind
    assert authz.load_assignment.endpoints[0].lb_endpoints[0].endpoint.HasField("address")


def test_a_service_that_is_not_healthy_is_not_called() -> None:
    wiring = Wiring(parse_endpoint("unix:/a"), parse_endpoint("unix:/r"), "/dev/stdout")

    for cluster in service_clusters(wiring):
        assert cluster.common_lb_config.healthy_panic_threshold.value == 0
        assert cluster.common_lb_config.HasField("healthy_panic_threshold")
        assert cluster.health_checks[0].no_traffic_interval == cluster.health_checks[0].interval
