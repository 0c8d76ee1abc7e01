"""How an upstream becomes a cluster and its endpoints."""

from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2 as dns_cluster_pb
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls_pb
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http_options_pb

from control_plane.ir.model import Upstream
from control_plane.xds.clusters.endpoints import endpoints
from control_plane.xds.clusters.protocol import HTTP_OPTIONS
from control_plane.xds.clusters.upstream import upstream_cluster
from tests.support.certificates import Authority
from tests.support.compiled import compiled, config

CA = Authority().pem


def upstream(**written: Any) -> Upstream:
    (found,) = compiled(config(upstreams={"email": written})).gateway.upstreams
    return found


def cluster(**written: Any) -> cluster_pb.Cluster:
    return upstream_cluster(upstream(**written))


def options(found: cluster_pb.Cluster) -> http_options_pb.HttpProtocolOptions:
    return http_options_pb.HttpProtocolOptions.FromString(found.typed_extension_protocol_options[HTTP_OPTIONS].value)


def tls(found: cluster_pb.Cluster) -> tls_pb.UpstreamTlsContext:
    return tls_pb.UpstreamTlsContext.FromString(found.transport_socket.typed_config.value)


def test_addresses_come_by_eds_and_names_by_dns() -> None:
    by_address = cluster(endpoints=["http://10.0.0.1", "http://[::1]"], connect_timeout="1500ms")
    by_name = cluster(endpoints=["http://10.0.0.1", "http://b.internal"])

    assert (by_address.type, by_address.HasField("load_assignment")) == (cluster_pb.Cluster.EDS, False)
    assert by_address.connect_timeout.ToMilliseconds() == 1500
    dns = dns_cluster_pb.DnsCluster.FromString(by_name.cluster_type.typed_config.value)
    assert (by_name.cluster_type.name, dns.respect_dns_ttl) == ("envoy.cluster.dns", True)
    assert len(by_name.load_assignment.endpoints[0].lb_endpoints) == 2


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        pytest.param("http://10.0.0.1:81", "10.0.0.1:81", id="port"),
        pytest.param("http://10.0.0.1", "10.0.0.1", id="default port"),
        pytest.param("https://10.0.0.1:443", "10.0.0.1", id="default port of https"),
        pytest.param("http://[::1]:443", "[::1]:443", id="ipv6"),
        pytest.param("http://email.internal:80", "email.internal", id="name"),
    ],
)
def test_an_endpoint_is_known_by_the_host_that_any_client_would_send(url, authority) -> None:
    found = endpoints(upstream(url=url, **({"tls": {"verify": False}} if url.startswith("https") else {})))

    (item,) = found.endpoints[0].lb_endpoints
    assert found.cluster_name == "email"
    assert (item.endpoint.hostname, item.endpoint.health_check_config.hostname) == (authority, authority)


def test_what_is_no_endpoint_any_longer_gets_nothing() -> None:
    assert cluster(url="http://10.0.0.1").ignore_health_on_host_removal


def test_all_are_tried_only_where_none_is_well() -> None:
    """Envoy rounds the threshold to whole percent: zero would be never."""
    assert cluster(url="http://10.0.0.1").common_lb_config.healthy_panic_threshold.value == 1


@pytest.mark.parametrize(
    ("protocol", "alpn"), [pytest.param("http1", "http/1.1", id="HTTP/1.1"), pytest.param("http2", "h2", id="HTTP/2")]
)
def test_one_protocol_is_spoken_and_offered(protocol, alpn) -> None:
    found = cluster(url="https://10.0.0.1", tls={"ca": CA}, protocol=protocol)

    chosen = options(found).explicit_http_config.WhichOneof("protocol_config")
    assert chosen == ("http2_protocol_options" if protocol == "http2" else "http_protocol_options")
    assert list(tls(found).common_tls_context.alpn_protocols) == [alpn]


def test_clear_text_has_no_transport_socket() -> None:
    found = cluster(url="http://10.0.0.1")

    assert not found.HasField("transport_socket")
    assert not found.transport_socket_matches


@pytest.mark.parametrize(
    ("url", "options", "sni", "verified"),
    [
        pytest.param("https://api.internal", {}, "api.internal", ("DNS", "api.internal"), id="name"),
        pytest.param("https://10.0.0.1", {}, "", ("IP_ADDRESS", "10.0.0.1"), id="address"),
        pytest.param("https://[::1]", {}, "", ("IP_ADDRESS", "::1"), id="ipv6"),
        pytest.param("https://10.0.0.1", {"server_name": "a.b"}, "a.b", ("DNS", "a.b"), id="another name"),
        pytest.param("https://a.b", {"server_name": "10.0.0.1"}, "", ("IP_ADDRESS", "10.0.0.1"), id="another address"),
    ],
)
def test_a_certificate_must_name_the_host(url, options, sni, verified) -> None:
    context = tls(cluster(url=url, tls={"ca": CA, **options}))

    combined = context.common_tls_context.combined_validation_context
    (named,) = combined.default_validation_context.match_typed_subject_alt_names
    assert context.sni == sni
    assert (type(named).SanType.Name(named.san_type), named.matcher.exact) == verified
    assert combined.validation_context_sds_secret_config.name == "tollgate:upstream:email:ca"


def test_nothing_is_verified_only_where_it_is_written() -> None:
    common = tls(cluster(url="https://10.0.0.1", tls={"verify": False})).common_tls_context

    assert common.WhichOneof("validation_context_type") is None


def test_each_of_several_hosts_is_verified_by_its_own_name() -> None:
    """And one that none of the sockets is meant for would still be spoken to in TLS."""
    item = upstream(endpoints=["https://a.internal", "https://b.internal"], tls={"ca": CA})
    found = upstream_cluster(item)
    wanted = {
        socket.match["host"]: tls_pb.UpstreamTlsContext.FromString(socket.transport_socket.typed_config.value).sni
        for socket in found.transport_socket_matches
    }
    given = [
        endpoint.metadata.filter_metadata["envoy.transport_socket_match"]["host"]
        for endpoint in endpoints(item).endpoints[0].lb_endpoints
    ]

    assert wanted == {"a.internal": "a.internal", "b.internal": "b.internal"}
    assert given == ["a.internal", "b.internal"]
    assert tls(found).sni == "a.internal"


def test_two_ports_of_one_host_need_one_socket() -> None:
    found = cluster(endpoints=["https://10.0.0.1:1", "https://10.0.0.1:2"], tls={"ca": CA})

    assert not found.transport_socket_matches


def test_the_codec_is_the_last_filter_of_an_upstream() -> None:
    found = options(cluster(url="http://10.0.0.1", credential={"header": "x-key", "value": "k"})).http_filters

    assert [item.name for item in found] == [
        "envoy.filters.http.credential_injector",
        "envoy.filters.http.upstream_codec",
    ]
    assert not options(cluster(url="http://10.0.0.1")).http_filters


def test_outliers_are_judged_only_by_what_is_written() -> None:
    found = cluster(url="http://10.0.0.1", outlier_detection={}).outlier_detection

    assert found.enforcing_success_rate.value == 0
    assert not found.successful_active_health_check_uneject_host.value
    assert not cluster(url="http://10.0.0.1").HasField("outlier_detection")
