"""Clusters and endpoints: where requests go. IP endpoints come by EDS and move without a new cluster; names by DNS."""

from collections.abc import Iterator

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.core.v3 import address_pb2 as address_pb
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.core.v3 import config_source_pb2 as config_source_pb
from envoy.config.core.v3 import health_check_pb2 as health_check_pb
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as common_tls_pb
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls_pb
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http_options_pb
from google.protobuf.duration_pb2 import Duration

from control_plane.ir.model import Address, Upstream, is_ip_address
from control_plane.xds import names
from control_plane.xds.packing import packed, seconds
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import Endpoint, UnixEndpoint
from service_kit.settings import TlsFiles

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
SERVICE_CONNECT_TIMEOUT = Duration(nanos=500_000_000)
SERVICE_HEALTH_INTERVAL = Duration(seconds=1)
# Calls to our own services that may be under way; Envoy's default of 1024 would refuse a burst.
SERVICE_MAX_REQUESTS = 16_384
# An endpoint that is not known to be healthy gets nothing: no panic routing to services that decide.
NO_PANIC = 0.0
# Node and uvicorn close a connection that was idle for 5 seconds. Whoever closes it must be us, or a request that was
# just sent on it is lost and answered 502.
UPSTREAM_IDLE_TIMEOUT = 4.0


def upstream_cluster(upstream: Upstream) -> cluster_pb.Cluster:
    """The cluster of an upstream, named as the admin named it."""
    cluster = cluster_pb.Cluster(name=upstream.name, connect_timeout=seconds(upstream.connect_timeout))
    options = http_options_pb.HttpProtocolOptions()
    options.explicit_http_config.http_protocol_options.SetInParent()
    options.common_http_protocol_options.idle_timeout.CopyFrom(seconds(UPSTREAM_IDLE_TIMEOUT))
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    if upstream.resolved:
        cluster.type = cluster_pb.Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(_ads())
        return cluster
    cluster.type = cluster_pb.Cluster.STRICT_DNS
    cluster.dns_lookup_family = cluster_pb.Cluster.V4_PREFERRED
    cluster.respect_dns_ttl = True
    cluster.load_assignment.CopyFrom(endpoints(upstream))
    return cluster


def endpoints(upstream: Upstream) -> endpoint_pb.ClusterLoadAssignment:
    """The endpoints of an upstream, all of one weight."""
    assignment = endpoint_pb.ClusterLoadAssignment(cluster_name=upstream.name)
    group = assignment.endpoints.add()
    for address in upstream.endpoints:
        group.lb_endpoints.add().endpoint.address.CopyFrom(_socket(address))
    return assignment


def service_clusters(wiring: Wiring) -> Iterator[cluster_pb.Cluster]:
    """Our own services: gRPC, watched by gRPC health, and refused at once when none is healthy."""
    yield _service(names.AUTHZ_CLUSTER, wiring.authz, "authz_service", wiring.tls)
    yield _service(names.RATELIMIT_CLUSTER, wiring.ratelimit, "ratelimit_service", wiring.tls)


def _service(name: str, endpoint: Endpoint, health_name: str, tls: TlsFiles | None) -> cluster_pb.Cluster:
    cluster = cluster_pb.Cluster(
        name=name, connect_timeout=SERVICE_CONNECT_TIMEOUT, health_checks=[_grpc_health(health_name)]
    )
    cluster.common_lb_config.healthy_panic_threshold.value = NO_PANIC
    cluster.circuit_breakers.thresholds.add().max_requests.value = SERVICE_MAX_REQUESTS
    options = http_options_pb.HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.SetInParent()
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(options))
    cluster.load_assignment.cluster_name = name
    address = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
    if isinstance(endpoint, UnixEndpoint):
        cluster.type = cluster_pb.Cluster.STATIC
        address.pipe.path = str(endpoint.path)
    else:
        cluster.type = cluster_pb.Cluster.STATIC if is_ip_address(endpoint.host) else cluster_pb.Cluster.STRICT_DNS
        address.CopyFrom(_socket(Address(endpoint.host, endpoint.port)))
        if tls is not None:
            cluster.transport_socket.CopyFrom(_mutual_tls(endpoint.host, tls))
    return cluster


def _mutual_tls(host: str, files: TlsFiles) -> base_pb.TransportSocket:
    """TLS 1.3 with a certificate of our own, to a peer whose certificate names the host."""
    context = tls_pb.UpstreamTlsContext(sni=host)
    common = context.common_tls_context
    common.alpn_protocols.append("h2")
    common.tls_params.tls_minimum_protocol_version = common_tls_pb.TlsParameters.TLSv1_3
    common.tls_params.tls_maximum_protocol_version = common_tls_pb.TlsParameters.TLSv1_3
    pair = common.tls_certificates.add()
    pair.certificate_chain.filename = str(files.certificate)
    pair.private_key.filename = str(files.private_key)
    common.validation_context.trusted_ca.filename = str(files.authority)
    named = common.validation_context.match_typed_subject_alt_names.add()
    matcher = common_tls_pb.SubjectAltNameMatcher
    named.san_type = matcher.IP_ADDRESS if is_ip_address(host) else matcher.DNS
    named.matcher.exact = host
    return base_pb.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def _grpc_health(service: str) -> health_check_pb.HealthCheck:
    check = health_check_pb.HealthCheck(
        timeout=SERVICE_HEALTH_INTERVAL,
        interval=SERVICE_HEALTH_INTERVAL,
        no_traffic_interval=SERVICE_HEALTH_INTERVAL,
    )
    check.unhealthy_threshold.value = 2
    check.healthy_threshold.value = 1
    check.grpc_health_check.service_name = service
    return check


def _socket(address: Address) -> address_pb.Address:
    return address_pb.Address(socket_address=address_pb.SocketAddress(address=address.host, port_value=address.port))


def _ads() -> config_source_pb.ConfigSource:
    source = config_source_pb.ConfigSource(resource_api_version=config_source_pb.V3)
    source.ads.SetInParent()
    return source
