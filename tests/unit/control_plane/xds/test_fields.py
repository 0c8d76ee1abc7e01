"""Messages put together from fields, and taken apart, as protobuf itself does it."""

import pytest
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from hypothesis import given
from hypothesis import strategies as st

from control_plane.xds.fields import field, first_field, parted
from control_plane.xds.packing import serialized

texts = st.text(max_size=300)


@given(names=st.lists(texts, max_size=5), name=texts, domains=st.lists(texts, max_size=3))
def test_a_message_is_its_fields(names: list[str], name: str, domains: list[str]) -> None:
    whole = VirtualHost(name=name, domains=domains, routes=[Route(name=each) for each in names])
    rest = VirtualHost(name=name, domains=domains)
    routes = [serialized(Route(name=each)) for each in names]

    assert serialized(rest) + b"".join(field(VirtualHost, "routes", each) for each in routes) == serialized(whole)
    assert parted(VirtualHost, "routes", serialized(whole)) == (routes, serialized(rest))


@given(name=texts.filter(bool), domains=st.lists(texts, max_size=3))
def test_the_first_field_and_the_rest(name: str, domains: list[str]) -> None:
    rest = serialized(VirtualHost(domains=domains))
    whole = serialized(VirtualHost(name=name)) + rest

    assert first_field(VirtualHost, "name", whole) == (name.encode(), rest)
    with pytest.raises(ValueError, match="the first field is not domains"):
        first_field(VirtualHost, "domains", whole)


def test_numbers_of_every_kind_are_passed_over() -> None:
    # An unknown field of each wire type: a number, eight bytes, and four.
    unknown = b"\xf8\x3f\x96\x01" + b"\xf9\x3f" + bytes(8) + b"\xfd\x3f" + bytes(4)
    host = field(RouteConfiguration, "virtual_hosts", serialized(VirtualHost(name="a")))

    entries, rest = parted(RouteConfiguration, "virtual_hosts", unknown + host + unknown)

    assert (len(entries), rest) == (1, unknown + unknown)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x12", id="no size"),
        pytest.param(b"\x12\x05abc", id="too little content"),
        pytest.param(b"\x12\x80", id="half a size"),
        pytest.param(b"\x80", id="half a key"),
        pytest.param(b"\x09abc", id="too few of eight bytes"),
        pytest.param(b"\x13", id="a group"),
    ],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|no wire type"):
        parted(RouteConfiguration, "virtual_hosts", content)
