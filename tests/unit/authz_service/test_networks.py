from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.networks import Networks, client_address

OLD = st.builds(IPv4Network, st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), st.just(value=False))
NEW = st.builds(IPv6Network, st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)), st.just(value=False))
MAPPED = 0xFFFF << 32


def addresses(networks: list[IPv4Network | IPv6Network]) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    """Any, and those at the edges of the networks."""
    edges = [edge + step for net in networks for edge in (net[0], net[-1]) for step in (-1, 0, 1) if _fits(edge, step)]
    anywhere = st.ip_addresses()
    return st.one_of(anywhere, st.sampled_from(edges)) if edges else anywhere


def _fits(address: IPv4Address | IPv6Address, step: int) -> bool:
    return 0 <= int(address) + step < 2**address.max_prefixlen


@given(st.data(), st.lists(OLD | NEW, max_size=8))
def test_a_list_holds_what_one_of_its_networks_holds(data: st.DataObject, networks: list[IPv4Network | IPv6Network]):
    address = data.draw(addresses(networks))
    found = client_address(str(address))
    assert found is not None

    written = [_plain(network) for network in networks]
    assert (found in Networks(map(str, networks))) == any(
        found in network for network in written if network.version == found.version
    )


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.subnet_of(IPv6Network("::ffff:0:0/96")):
        return IPv4Network((int(network[0]) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


@given(st.ip_addresses(v=4), OLD)
def test_an_old_address_is_the_same_in_new_clothes(address: IPv4Address, network: IPv4Network):
    mapped = client_address(str(IPv6Address(MAPPED | int(address))))

    assert mapped == address
    assert (mapped in Networks([str(network)])) == (address in network)


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1.2.3.4:80", "[::1]", "1.2.3.4 ", "01.2.3.4", "1.2.3.4/32"])
def test_what_is_no_address_is_nowhere(text: str):
    assert client_address(text) is None
    assert client_address(text) not in Networks(["0.0.0.0/0", "::/0"])


def test_zones_are_not_looked_at():
    assert client_address("fe80::1%eth0") in Networks([str(ip_address("fe80::1"))])
