"""Clusters of our own services: gRPC, watched by gRPC health, and refused at once when none is healthy."""

from collections.abc import Iterator

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.core.v3 import health_check_pb2 as health_check_pb
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as common_tls_pb
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls_pb
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http_options_pb
from google.protobuf.duration_pb2 import Duration

from control_plane.ir.model import NOBODY, Address, is_ip_address
from control_plane.xds import names
from control_plane.xds.clusters.dns import resolve_by_dns
from control_plane.xds.clusters.endpoints import socket
from control_plane.xds.clusters.protocol import HTTP_OPTIONS
from control_plane.xds.clusters.tls import names_peer, tls_socket
from control_plane.xds.packing import packed
from control_plane.xds.secrets import over_ads
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import Endpoint, UnixEndpoint

CONNECT_TIMEOUT = Duration(nanos=500_000_000)
HEALTH_INTERVAL = Duration(seconds=1)
# Calls that may be under way; Envoy's default of 1024 would refuse a burst.
MAX_REQUESTS = 16_384
# Requests for tokens and for what verifies them.
MOST_TOKEN_REQUESTS = 256
# Questions of consumers for their usage.
MOST_USAGE_REQUESTS = 32
# Shorter than that of the other side, which would close a connection under a request.
IDLE_TIMEOUT = Duration(seconds=2)
# An endpoint that is not known to be healthy gets nothing: no panic routing to services that decide.
NO_PANIC = 0.0
# Bytes on the connection to the translator.
TRANSLATED_AT_ONCE = 1 << 27


def service_clusters(wiring: Wiring) -> Iterator[cluster_pb.Cluster]:
    """The authorizer and the limiter."""
    yield _service(names.AUTHZ_CLUSTER, wiring.authz, "authz_service", encrypted=wiring.tls is not None)
    yield _service(names.RATELIMIT_CLUSTER, wiring.ratelimit, "ratelimit_service", encrypted=wiring.tls is not None)


def translator_cluster(endpoint: Endpoint, wiring: Wiring) -> cluster_pb.Cluster:
    """The translator, which has each call for as long as it takes, and whole bodies at once."""
    cluster = _service(names.TRANSLATOR_CLUSTER, endpoint, "llm_translator", encrypted=wiring.tls is not None)
    cluster.per_connection_buffer_limit_bytes.value = TRANSLATED_AT_ONCE
    return cluster


def nobody_cluster() -> cluster_pb.Cluster:
    """Without endpoints: where routes lead whose requests are all refused before."""
    return cluster_pb.Cluster(name=NOBODY, type=cluster_pb.Cluster.STATIC, connect_timeout=CONNECT_TIMEOUT)


def oauth_cluster(endpoint: UnixEndpoint) -> cluster_pb.Cluster:
    """The authorizer's endpoints over HTTP. A token costs a signature: few at once, so that decisions are not late."""
    return _over_http(names.OAUTH_CLUSTER, endpoint, MOST_TOKEN_REQUESTS)


def usage_cluster(endpoint: UnixEndpoint) -> cluster_pb.Cluster:
    """The ledger's endpoint for consumers: few at once, since each is a question to a database."""
    return _over_http(names.USAGE_CLUSTER, endpoint, MOST_USAGE_REQUESTS)


def _over_http(name: str, endpoint: UnixEndpoint, most: int) -> cluster_pb.Cluster:
    cluster = cluster_pb.Cluster(name=name, type=cluster_pb.Cluster.STATIC, connect_timeout=CONNECT_TIMEOUT)
    bounds = cluster.circuit_breakers.thresholds.add()
    bounds.max_connections.value = most
    bounds.max_pending_requests.value = most
    bounds.max_requests.value = most
    options = http_options_pb.HttpProtocolOptions()
    options.explicit_http_config.http_protocol_options.SetInParent()
    options.common_http_protocol_options.idle_timeout.CopyFrom(IDLE_TIMEOUT)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    cluster.load_assignment.cluster_name = cluster.name
    address = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
    address.pipe.path = str(endpoint.path)
    return cluster


def _service(name: str, endpoint: Endpoint, health_name: str, *, encrypted: bool) -> cluster_pb.Cluster:
    cluster = cluster_pb.Cluster(name=name, connect_timeout=CONNECT_TIMEOUT, health_checks=[_grpc_health(health_name)])
    cluster.common_lb_config.healthy_panic_threshold.value = NO_PANIC
    cluster.circuit_breakers.thresholds.add().max_requests.value = MAX_REQUESTS
    options = http_options_pb.HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.SetInParent()
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    cluster.load_assignment.cluster_name = name
    address = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
    if isinstance(endpoint, UnixEndpoint):
        cluster.type = cluster_pb.Cluster.STATIC
        address.pipe.path = str(endpoint.path)
    else:
        if is_ip_address(endpoint.host):
            cluster.type = cluster_pb.Cluster.STATIC
        else:
            resolve_by_dns(cluster)
        address.CopyFrom(socket(Address(endpoint.host, endpoint.port)))
        if encrypted:
            cluster.transport_socket.CopyFrom(_mutual_tls(endpoint.host))
    return cluster


def _mutual_tls(host: str) -> base_pb.TransportSocket:
    """TLS 1.3 with a certificate of our own, to a peer whose certificate names the host."""
    context = tls_pb.UpstreamTlsContext(sni=host)
    common = context.common_tls_context
    common.alpn_protocols.append("h2")
    common.tls_params.tls_minimum_protocol_version = common_tls_pb.TlsParameters.TLSv1_3
    common.tls_params.tls_maximum_protocol_version = common_tls_pb.TlsParameters.TLSv1_3
    # As secrets: Envoy would read files that are named here once.
    own = common.tls_certificate_sds_secret_configs.add(name=names.OWN_CERTIFICATE)
    own.sds_config.CopyFrom(over_ads())
    combined = common.combined_validation_context
    names_peer(combined.default_validation_context, host)
    combined.validation_context_sds_secret_config.name = names.OWN_CA
    combined.validation_context_sds_secret_config.sds_config.CopyFrom(over_ads())
    return tls_socket(context)


def _grpc_health(service: str) -> health_check_pb.HealthCheck:
    check = health_check_pb.HealthCheck(
        timeout=HEALTH_INTERVAL, interval=HEALTH_INTERVAL, no_traffic_interval=HEALTH_INTERVAL
    )
    check.unhealthy_threshold.value = 2
    check.healthy_threshold.value = 1
    check.grpc_health_check.service_name = service
    return check
