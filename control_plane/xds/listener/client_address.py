"""Who the client is: the peer of its connection, or whom a trusted proxy names in X-Forwarded-For.

Headers are removed before anything could look at the peer, so peers that are trusted get a filter chain of their own,
chosen by the address of the connection. The access log, limits and rules see the one address that is found here.
"""

from enum import Enum, auto
from ipaddress import ip_network

from envoy_data_plane.envoy.config.core.v3 import CidrRange, TypedExtensionConfig
from envoy_data_plane.envoy.config.listener.v3 import FilterChainMatch
from envoy_data_plane.envoy.extensions.http.original_ip_detection.xff.v3 import XffConfig, XffTrustedCidrs
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Listener
from service_kit import contract


class Peers(Enum):
    """Whose forwarding headers are believed."""

    PROXIES = auto()
    ANYONE = auto()


def peers(item: Listener) -> tuple[Peers, ...]:
    """Those that this listener tells apart."""
    return (Peers.PROXIES, Peers.ANYONE) if item.trusted_proxies else (Peers.ANYONE,)


def chain_match(item: Listener, peer: Peers) -> FilterChainMatch | None:
    """Connections from these peers; all that are left where None."""
    if peer is Peers.ANYONE:
        return None
    return FilterChainMatch(direct_source_prefix_ranges=_networks(item))


def forbidden_headers(peer: Peers) -> tuple[str, ...]:
    """What is removed from their requests."""
    return contract.CLIENT_FORBIDDEN_HEADERS if peer is Peers.ANYONE else contract.PROXY_FORBIDDEN_HEADERS


def detection(item: Listener, peer: Peers) -> list[TypedExtensionConfig]:
    """How the client behind a proxy is found: from the right, the first address that is no trusted proxy.

    Where something on the way there is no address, the peer counts.
    """
    if peer is Peers.ANYONE:
        return []
    found = XffConfig(xff_trusted_cidrs=XffTrustedCidrs(cidrs=_networks(item)), skip_xff_append=True)
    return [TypedExtensionConfig(name="envoy.http.original_ip_detection.xff", typed_config=Any.pack(found))]


def _networks(item: Listener) -> list[CidrRange]:
    networks = map(ip_network, item.trusted_proxies)
    return [CidrRange(address_prefix=str(it.network_address), prefix_len=it.prefixlen) for it in networks]
