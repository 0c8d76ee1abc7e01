"""The Envoy listeners of one listener: one on TCP, and for HTTP/3 another on the same port over UDP."""

from collections.abc import Iterator
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import Address, SocketAddress, SocketAddressProtocol, TransportSocket
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.extensions.filters.network.connection_limit.v3 import ConnectionLimit
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.google.protobuf import Any

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.config.values import LARGEST_BODY_LIMIT
from control_plane.ir.model import Gateway, Llm, Route
from control_plane.ir.model import Listener as ListenerIR
from control_plane.ir.native import own_tokens
from control_plane.xds import names
from control_plane.xds.listener import quic, tls
from control_plane.xds.listener.client_address import chain_match, peers
from control_plane.xds.listener.connection_manager import connection_manager
from control_plane.xds.wiring import Wiring

# Above every body limit, so that the filter with the clear answer decides and no buffer stalls first.
BUFFER_LIMIT = LARGEST_BODY_LIMIT + (1 << 20)
# A handshake that stalls holds a connection that no other timeout sees.
HANDSHAKE_TIMEOUT = timedelta(seconds=10)


def shown_to_listeners(gateway: Gateway) -> Gateway:
    """The gateway with only those routes and upstreams that filters depend on: an edit of others changes no listener.

    Listeners are made of this one, so what is left out here is out of their reach.
    """
    native = any(issuer.native for issuer in gateway.jwt)
    judged = native or own_tokens(gateway) is not None
    return Gateway(
        listeners=gateway.listeners,
        upstreams=tuple(upstream for upstream in gateway.upstreams if upstream.required),
        routes=tuple(route for route in gateway.routes if _has_filters(route)),
        jwt=gateway.jwt if native else (),
        bearer_tokens=(),
        plans=gateway.plans,
        consumers=gateway.consumers if native else (),
        default_plan=gateway.default_plan if judged else None,
        api_keys=gateway.api_keys,
        mtls=gateway.mtls,
        tokens=gateway.tokens,
        ledger=gateway.ledger,
        # A gateway that translates is not ready without its translator.
        llm=None if gateway.llm is None else Llm(listed=(), variants=(), translates=gateway.llm.translates),
    )


def _has_filters(route: Route) -> bool:
    """Whether some filter, or an instance of one, is in the chain because of the route."""
    return (
        route.cors is not None
        or route.bandwidth is not None
        or route.fault is not None
        or route.adaptive_concurrency is not None
        or route.cached
        or route.tokens is not None
        or route.asked is not None
        or route.of_plans is not None
        or (route.body_limit != DEFAULT_BODY_LIMIT and route.bounded)
        or any(limit.local for limit in route.limits)
    )


def listeners(gateway: Gateway, item: ListenerIR, wiring: Wiring) -> Iterator[Listener]:
    """All that Envoy opens for this listener."""
    socket = None if item.tls is None else tls.transport_socket(item.name, item.tls)
    managers = [connection_manager(gateway, item, peer, wiring) for peer in peers(item)]
    yield Listener(
        name=item.name,
        address=_address(item, SocketAddressProtocol.TCP),
        filter_chains=_chains(item, managers, socket),
        per_connection_buffer_limit_bytes=BUFFER_LIMIT,
    )
    if item.http3 and item.tls is not None:
        managers = [quic.http3_manager(gateway, item, peer, wiring) for peer in peers(item)]
        yield Listener(
            name=names.http3_listener(item.name),
            address=_address(item, SocketAddressProtocol.UDP),
            udp_listener_config=quic.udp_listener_config(),
            filter_chains=_chains(item, managers, quic.transport_socket(item.name, item.tls)),
            per_connection_buffer_limit_bytes=BUFFER_LIMIT,
        )


def _address(item: ListenerIR, protocol: SocketAddressProtocol) -> Address:
    return Address(
        socket_address=SocketAddress(protocol=protocol, address=item.address.host, port_value=item.address.port)
    )


def _chains(
    item: ListenerIR, managers: list[HttpConnectionManager], socket: TransportSocket | None
) -> list[FilterChain]:
    """One chain for the peers that are treated alike."""
    return [
        FilterChain(
            name=item.name,
            filter_chain_match=chain_match(item, peer),
            filters=[*_connection_limit(item), _http(manager)],
            transport_socket=socket,
            transport_socket_connect_timeout=None if socket is None else HANDSHAKE_TIMEOUT,
        )
        for peer, manager in zip(peers(item), managers, strict=True)
    ]


def _connection_limit(item: ListenerIR) -> Iterator[Filter]:
    """Counted for all threads together, for each chain by itself; a connection above it is closed unread."""
    if item.max_connections is not None:
        limit = ConnectionLimit(stat_prefix=item.name, max_connections=item.max_connections)
        yield Filter(name="envoy.filters.network.connection_limit", typed_config=Any.pack(limit))


def _http(manager: HttpConnectionManager) -> Filter:
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=Any.pack(manager))
