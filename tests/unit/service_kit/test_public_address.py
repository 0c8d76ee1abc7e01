from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.public_address import why_never, why_not_public

# What must never be reached from a URL that somebody else chose.
INNER = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
]  # fmt: skip
INNER_6 = [
    "::/128", "::1/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64",
    "2001::/32", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10",
    "ff00::/8", "fd00:ec2::254/128", "4000::/3", "8000::/1",
]  # fmt: skip
METADATA = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]
# Prefixes whose last 32 bits are an IPv4 address.
CARRIERS = ["::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::"]


def within(networks: list[str]) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    def addresses(network: str) -> st.SearchStrategy[IPv4Address | IPv6Address]:
        if ":" in network:
            return st.ip_addresses(v=6, network=IPv6Network(network))
        return st.ip_addresses(v=4, network=IPv4Network(network))

    return st.one_of(map(addresses, networks))


@given(within(INNER))
def test_no_inner_ipv4_address_is_public(address: IPv4Address):
    assert why_not_public(address) is not None


@given(within(INNER_6))
def test_no_inner_ipv6_address_is_public(address: IPv6Address):
    assert why_not_public(address) is not None


@given(st.ip_addresses(v=4), st.sampled_from(CARRIERS))
def test_no_ipv6_address_that_stands_for_an_ipv4_one_is_public(inner: IPv4Address, carrier: str):
    assert why_not_public(IPv6Address(int(IPv6Address(carrier)) | int(inner))) is not None


@given(st.ip_addresses(v=4), st.sampled_from(CARRIERS))
def test_what_is_never_reached_is_not_reached_by_another_name(inner: IPv4Address, carrier: str):
    if why_never(inner) is not None:
        assert why_never(IPv6Address(int(IPv6Address(carrier)) | int(inner))) is not None
        assert why_never(IPv6Address((0x2002 << 112) | (int(inner) << 80))) is not None


@given(st.ip_addresses())
def test_a_public_address_is_a_global_one_of_a_single_host(address: IPv4Address | IPv6Address):
    """Whatever Python knows to be special is never taken for public."""
    if why_not_public(address) is None:
        assert address.is_global
        assert not any((address.is_private, address.is_multicast, address.is_loopback, address.is_link_local))
        assert not any((address.is_reserved, address.is_unspecified))


@given(st.ip_addresses())
def test_what_never_holds_a_server_is_not_public(address: IPv4Address | IPv6Address):
    if why_never(address) is not None:
        assert why_not_public(address) is not None


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2001:4860:4860::8888", "2606:4700::1111"])
def test_addresses_of_the_internet(text: str):
    assert why_not_public(ip_address(text)) is None


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
)
def test_addresses_of_a_network_of_ones_own(text: str):
    assert why_not_public(ip_address(text)) is not None
    assert why_never(ip_address(text)) is None


@pytest.mark.parametrize(
    "text", [*METADATA, "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "ff02::1"]
)
def test_addresses_where_no_server_is_meant(text: str):
    assert why_never(ip_address(text)) is not None
