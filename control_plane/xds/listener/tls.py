"""TLS with clients: the listener's certificate, and the certificates that it asks for, both by SDS.

What is by SDS is replaced without a new listener: connections live on, new ones get the new certificate.
"""

from envoy_data_plane.envoy.config.core.v3 import TransportSocket
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CommonTlsContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    TlsParameters,
    TlsParametersTlsProtocol,
)
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import ListenerTls
from control_plane.xds import names
from control_plane.xds.listener.source import over_ads

VERSIONS = {"1.2": TlsParametersTlsProtocol.TLSv1_2, "1.3": TlsParametersTlsProtocol.TLSv1_3}
ALPN = ("h2", "http/1.1")


def transport_socket(listener: str, tls: ListenerTls) -> TransportSocket:
    """TLS over TCP."""
    context = downstream_context(listener, tls, ALPN)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=Any.pack(context))


def downstream_context(listener: str, tls: ListenerTls, protocols: tuple[str, ...]) -> DownstreamTlsContext:
    """Ciphers are Envoy's own defaults: authenticated encryption with forward secrecy alone."""
    common = CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=VERSIONS[tls.minimum_version],
            tls_maximum_protocol_version=TlsParametersTlsProtocol.TLSv1_3,
        ),
        tls_certificate_sds_secret_configs=[_secret(listener, names.CERTIFICATE)],
        validation_context_sds_secret_config=None if tls.clients is None else _secret(listener, names.CA),
        alpn_protocols=list(protocols),
    )
    # Without a certificate when it is asked for, or with a foreign one, the handshake fails.
    required = tls.clients is not None and tls.clients.required
    return DownstreamTlsContext(common_tls_context=common, require_client_certificate=required)


def _secret(listener: str, part: str) -> SdsSecretConfig:
    return SdsSecretConfig(name=names.listener_secret(listener, part), sds_config=over_ads())
