"""TLS to upstreams: verified unless the admin says otherwise, with keys and authorities that come as secrets."""

from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.extensions.transport_sockets.tls.v3 import common_pb2 as common_tls_pb
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls_pb

from control_plane.ir.model import Protocol, Upstream, UpstreamTls, is_ip_address
from control_plane.xds import names
from control_plane.xds.clusters.endpoints import HOST_KEY, told_apart
from control_plane.xds.packing import packed
from control_plane.xds.secrets import over_ads

TLS_SOCKET = "envoy.transport_sockets.tls"
VERSIONS = {"1.2": common_tls_pb.TlsParameters.TLSv1_2, "1.3": common_tls_pb.TlsParameters.TLSv1_3}
ALPN = {Protocol.HTTP1: "http/1.1", Protocol.HTTP2: "h2"}


def give_transport(cluster: cluster_pb.Cluster, upstream: Upstream) -> None:
    """Makes the cluster speak TLS where the upstream does: each endpoint is asked for and verified by one name."""
    if upstream.tls is None:
        return
    # Of several, too, the first stands for an endpoint that none is meant for: it never gets clear text.
    name = upstream.tls.server_name or upstream.endpoints[0].host
    cluster.transport_socket.CopyFrom(_socket(upstream, upstream.tls, name))
    if not told_apart(upstream):
        return
    for host in sorted({endpoint.host for endpoint in upstream.endpoints}):
        match = cluster.transport_socket_matches.add(name=host)
        match.match.update({HOST_KEY: host})
        match.transport_socket.CopyFrom(_socket(upstream, upstream.tls, host))


def names_peer(context: common_tls_pb.CertificateValidationContext, host: str) -> None:
    """Accepts only certificates that name this host."""
    named = context.match_typed_subject_alt_names.add()
    matcher = common_tls_pb.SubjectAltNameMatcher
    named.san_type = matcher.IP_ADDRESS if is_ip_address(host) else matcher.DNS
    named.matcher.exact = host


def tls_socket(context: tls_pb.UpstreamTlsContext) -> base_pb.TransportSocket:
    return base_pb.TransportSocket(name=TLS_SOCKET, typed_config=packed(context))


def _socket(upstream: Upstream, tls: UpstreamTls, host: str) -> base_pb.TransportSocket:
    context = tls_pb.UpstreamTlsContext()
    if not is_ip_address(host):  # RFC 6066, section 3: a name asked for is no address
        context.sni = host
    common = context.common_tls_context
    common.alpn_protocols.append(ALPN[upstream.protocol])
    common.tls_params.tls_minimum_protocol_version = VERSIONS[tls.minimum_version]
    common.tls_params.tls_maximum_protocol_version = common_tls_pb.TlsParameters.TLSv1_3  # Envoy's default is 1.2
    if tls.identification is not None:
        pair = common.tls_certificate_sds_secret_configs.add()
        pair.name = names.upstream_secret(upstream.name, names.CERTIFICATE)
        pair.sds_config.CopyFrom(over_ads())
    if tls.verify:
        combined = common.combined_validation_context
        names_peer(combined.default_validation_context, host)
        trusted = combined.validation_context_sds_secret_config
        trusted.name = names.SYSTEM_CA if tls.ca is None else names.upstream_secret(upstream.name, names.CA)
        trusted.sds_config.CopyFrom(over_ads())
    return tls_socket(context)
