"""HTTP/3: the same requests over QUIC, which is always encrypted with TLS 1.3."""

from dataclasses import replace

from envoy_data_plane.envoy.config.core.v3 import (
    Http3ProtocolOptions,
    QuicProtocolOptions,
    TransportSocket,
    UdpSocketConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import QuicProtocolOptions as QuicListenerOptions
from envoy_data_plane.envoy.config.listener.v3 import UdpListenerConfig
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
)
from envoy_data_plane.envoy.extensions.transport_sockets.quic.v3 import QuicDownstreamTransport
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Listener, ListenerTls
from control_plane.xds import names
from control_plane.xds.access_log import CLIENT_ADDRESS, kept
from control_plane.xds.filters.llm.groups import has_groups
from control_plane.xds.listener.client_address import Peers
from control_plane.xds.listener.connection_manager import MAX_CONCURRENT_STREAMS, connection_manager
from control_plane.xds.listener.tls import downstream_context
from control_plane.xds.wiring import Wiring
from service_kit import contract

ALPN = ("h3",)
# Over QUIC, the log is written when the client has got the answer, and Envoy has forgotten whom a proxy named by then;
# the header that upstreams get says it still, or what was kept of it.
FORWARDED_FOR = f"%REQ({contract.FORWARDED_FOR_HEADER})%"
KEPT = kept(names.CLIENT_METADATA_ADDRESS, contract.FORWARDED_FOR_HEADER)


def udp_listener_config() -> UdpListenerConfig:
    """QUIC with the bound of streams that HTTP/2 has."""
    options = QuicListenerOptions(quic_protocol_options=_bounded())
    return UdpListenerConfig(quic_options=options, downstream_socket_config=UdpSocketConfig(prefer_gro=True))


def transport_socket(listener: str, tls: ListenerTls) -> TransportSocket:
    """The certificates of the TCP listener; no early data, which could be replayed."""
    context = downstream_context(listener, tls, ALPN)
    transport = QuicDownstreamTransport(downstream_tls_context=context, enable_early_data=False)
    return TransportSocket(name="envoy.transport_sockets.quic", typed_config=Any.pack(transport))


def http3_manager(gateway: Gateway, item: Listener, peer: Peers, wiring: Wiring) -> HttpConnectionManager:
    """The connection manager of the TCP listener, for HTTP/3."""
    named = KEPT if has_groups(gateway) else FORWARDED_FOR
    client = CLIENT_ADDRESS if peer is Peers.ANYONE else named
    manager = connection_manager(gateway, item, peer, wiring, client=client)
    return replace(
        manager,
        codec_type=HttpConnectionManagerCodecType.HTTP3,
        http3_protocol_options=Http3ProtocolOptions(quic_protocol_options=_bounded()),
    )


def _bounded() -> QuicProtocolOptions:
    return QuicProtocolOptions(max_concurrent_streams=MAX_CONCURRENT_STREAMS)
