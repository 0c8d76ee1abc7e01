"""Which clients a list of networks holds; finding out takes as long as the logarithm of the list.

An IPv4 client of a socket that takes both families (RFC 4291, 2.5.5.2) is the same client under either name, in lists
and in requests; `::/0` is all of IPv6 and none of IPv4. Zones of link-local addresses are not looked at.
"""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

_MAPPED = IPv6Network("::ffff:0:0/96")
_MAPPED_BITS = 96
_Ranges = tuple[tuple[int, ...], tuple[int, ...]]


def client_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address; None where the text is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


class Networks:
    """Networks in CIDR notation or single addresses; ValueError where one of them is neither."""

    __slots__ = ("_by_version",)

    def __init__(self, written: Iterable[str]) -> None:
        networks = [_unmapped(ip_network(text)) for text in written]
        old = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
        new = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
        self._by_version: dict[int, _Ranges] = {4: _ranges(old), 6: _ranges(new)}

    def __contains__(self, address: IPv4Address | IPv6Address | None) -> bool:
        if address is None:
            return False
        first, last = self._by_version[address.version]
        at = bisect_right(first, int(address)) - 1
        return at >= 0 and int(address) <= last[at]


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED_BITS))


def _ranges(networks: Iterable[IPv4Network] | Iterable[IPv6Network]) -> _Ranges:
    """First and last addresses, in ascending order; `collapse_addresses` has sorted them and none overlap."""
    found = [(int(network.network_address), int(network.broadcast_address)) for network in networks]
    return tuple(first for first, _ in found), tuple(last for _, last in found)
