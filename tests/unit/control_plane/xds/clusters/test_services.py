"""How our own services are reached, and that none is called that is not well."""

from pathlib import Path

import pytest
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http_options_pb

from control_plane.xds.clusters.protocol import HTTP_OPTIONS
from control_plane.xds.clusters.services import oauth_cluster, service_clusters
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint, unix_endpoint


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


def test_tokens_are_asked_for_over_a_socket_and_few_at_once() -> None:
    """An authorizer that signs for a crowd would decide late."""
    cluster = oauth_cluster(unix_endpoint(Path("/run/oauth.sock")))
    options = http_options_pb.HttpProtocolOptions()
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)

    assert cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe.path == "/run/oauth.sock"
    assert cluster.circuit_breakers.thresholds[0].max_requests.value == 256
    assert options.explicit_http_config.HasField("http_protocol_options")
    assert 0 < options.common_http_protocol_options.idle_timeout.ToTimedelta().total_seconds() < 5
