"""Whether an address may be where a server of somebody else's choosing stands: on the Internet, and nowhere else.

Whoever can choose a URL, or what a name resolves to, could otherwise make the gateway talk to the machine itself, to
its network or to the metadata service of its cloud. An IPv6 address that stands for an IPv4 one is refused whichever it
is: what it reaches is decided elsewhere.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

# Where clouds answer their machines with credentials, beside the link-local ones (169.254.169.254 and its kin).
_METADATA: Final = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure, a public address
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
# IPv6 that stands for IPv4, by what makes it so.
_STANDS_FOR_IPV4: Final = {
    IPv6Network("::ffff:0:0/96"): "an IPv4-mapped address",  # RFC 4291, 2.5.5.2
    IPv6Network("::ffff:0:0:0/96"): "an IPv4-translated address",  # RFC 2765
    IPv6Network("::/96"): "an IPv4-compatible address",  # RFC 4291, 2.5.5.1
    IPv6Network("64:ff9b::/96"): "a NAT64 address",  # RFC 6052
    IPv6Network("64:ff9b:1::/48"): "a NAT64 address",  # RFC 8215
    IPv6Network("2002::/16"): "a 6to4 address",  # RFC 3056
    IPv6Network("2001::/32"): "a Teredo address",  # RFC 4380
}
_UNICAST: Final = IPv6Network("2000::/3")  # RFC 4291, 2.4: all that was ever given away
_DOCUMENTATION: Final = IPv6Network("3fff::/20")  # RFC 9637
_NO_HOSTS: Final = (
    IPv4Network("192.0.0.0/24"),  # RFC 6890: protocols, of which versions of Python know different ones
    IPv4Network("192.88.99.0/24"),  # RFC 7526: former relays of 6to4
)


def why_never(address: Address) -> str | None:
    """Why no server that is meant stands at this address, on whichever network; None where one may."""
    inner = _inner(address)
    kinds = (
        (address.is_unspecified or inner.is_unspecified, "unspecified"),
        (address.is_multicast or inner.is_multicast, "a multicast address"),
        (address.is_link_local or inner.is_link_local, "link-local"),
        (address in _METADATA or inner in _METADATA, "a metadata service of a cloud"),
        (str(inner) == "255.255.255.255", "a broadcast address"),
    )
    return next((kind for holds, kind in kinds if holds), None)


def why_not_public(address: Address) -> str | None:
    """Why this address is none of the Internet; None where it is one."""
    if (never := why_never(address)) is not None:
        return never
    if address.is_loopback:
        return "loopback"
    for network, kind in _STANDS_FOR_IPV4.items():
        if address in network:
            return kind
    return None if address.is_global and _is_unicast(address) else "private or reserved"


def _is_unicast(address: Address) -> bool:
    """What the registries of today give to servers, which this version of Python may not know in full."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NO_HOSTS)
    return address in _UNICAST and address not in _DOCUMENTATION


def _inner(address: Address) -> Address:
    """The IPv4 address that a mapped or translated one stands for; itself for every other."""
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network, kind in _STANDS_FOR_IPV4.items() if network.prefixlen == 96):  # noqa: PLR2004 - the last 32 bits are the IPv4 address
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address
