"""What is read of a node, and the bytes that streams share."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb
from google.protobuf import struct_pb2 as struct_pb

from control_plane.server.exchange import Push
from control_plane.server.wire import DELTA, SOTW, Node, Protocol, ResponseBytes
from control_plane.snapshot import Resource, resource
from control_plane.xds.names import CLUSTER_TYPE

BOTH = pytest.mark.parametrize("protocol", [SOTW, DELTA], ids=lambda protocol: protocol.name)
TTL = "xds.config.supports-resource-ttl"


def push(*resources: Resource, nonce: str = "n", **fields: object) -> Push:
    return replace(Push(CLUSTER_TYPE, "v", nonce, resources), **fields)


def item(name: str, body: bytes = b"") -> Resource:
    return resource(CLUSTER_TYPE, name, body)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        pytest.param({}, Node("n", "c"), id="the least"),
        pytest.param({"user_agent_name": "grpc", "user_agent_version": "1.80"},
                     Node("n", "c", user_agent="grpc 1.80"), id="a version as text"),
        pytest.param({"user_agent_name": "envoy", "client_features": [TTL],
                      "user_agent_build_version": {"version": {"major_number": 1, "minor_number": 40}}},
                     Node("n", "c", features=frozenset({TTL}), user_agent="envoy 1.40.0"), id="a version in numbers"),
    ],
)  # fmt: skip
@BOTH
def test_what_a_node_says_of_itself(protocol: Protocol, stated: dict[str, object], expected: Node) -> None:
    kind = discovery_pb.DiscoveryRequest if protocol is SOTW else discovery_pb.DeltaDiscoveryRequest

    assert protocol.read(kind(node=base_pb.Node(id="n", cluster="c", **stated)).SerializeToString()).node == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("edge", "edge"), (7, ""), (None, "")], ids=["a text", "a number", "nothing"]
)
def test_the_group_of_a_node_is_in_its_metadata(value: object, expected: str) -> None:
    metadata = struct_pb.Struct()
    metadata.update({"other": "x"} if value is None else {"tollgate_group": value})
    request = discovery_pb.DeltaDiscoveryRequest(node=base_pb.Node(id="n", cluster="c", metadata=metadata))

    assert DELTA.read(request.SerializeToString()).node.group == expected


@pytest.mark.parametrize(
    ("features", "sotw", "delta"),
    [
        ([], False, False),
        ([TTL], False, True),
        ([TTL, "xds.config.resource-in-sotw"], True, True),
        ([TTL, "xds.config.supports-resource-in-sotw"], True, True),
        (["xds.config.resource-in-sotw"], False, False),
    ],
)
def test_66_lifetimes_are_for_those_who_say_they_read_them(features: list[str], sotw: bool, delta: bool) -> None:
    node = Node("n", "c", features=frozenset(features))

    assert (SOTW.reads_lifetimes(node), DELTA.reads_lifetimes(node)) == (sotw, delta)


def test_66_in_the_state_of_the_world_what_has_a_lifetime_comes_in_a_wrapper() -> None:
    mortal = replace(item("a", b"\n\x01a"), ttl=1.5)
    data = ResponseBytes().response(SOTW, push(mortal, item("b"), lifetimes=True))
    wrapped, bare = discovery_pb.DiscoveryResponse.FromString(data).resources
    found = discovery_pb.Resource()
    wrapped.Unpack(found)

    assert (found.name, found.version, found.ttl.ToMilliseconds()) == ("a", "v", 1500)
    assert (found.resource.type_url, found.resource.value) == (CLUSTER_TYPE, b"\n\x01a")
    assert bare.type_url == CLUSTER_TYPE


def test_66_in_delta_a_confirmation_has_no_content() -> None:
    mortal = replace(item("a", b"\n\x01a"), ttl=1.5)
    data = ResponseBytes().response(DELTA, push(mortal, lifetimes=True, heartbeat=True))
    (found,) = discovery_pb.DeltaDiscoveryResponse.FromString(data).resources

    assert (found.name, found.version, found.ttl.ToMilliseconds()) == ("a", mortal.version, 1500)
    assert not found.HasField("resource")


@BOTH
def test_a_body_is_written_once_for_all_streams(protocol: Protocol) -> None:
    written = []
    counting = replace(protocol, body=lambda push: written.append(push) or protocol.body(push))
    shared, items = ResponseBytes(), (item("a"), item("b"))
    responses = [shared.response(counting, push(*items, nonce=str(number))) for number in range(3)]

    assert len(written) == 1
    assert len(set(responses)) == 3
    shared.response(counting, push(*items, version="another"))
    shared.response(counting, push(items[0]))
    assert len(written) == 3


def test_the_bytes_that_are_kept_are_bounded() -> None:
    shared = ResponseBytes(limit=10_000)
    for number in itertools.islice(itertools.count(), 1_000):
        shared.response(DELTA, push(item("a", bytes(1_000) + str(number).encode())))

    assert shared.size <= 10_000


@pytest.mark.parametrize(
    ("protocol", "request_type"), [(SOTW, discovery_pb.DiscoveryRequest), (DELTA, discovery_pb.DeltaDiscoveryRequest)]
)
def test_a_reason_is_kept_without_the_resource_that_it_quotes(protocol: Protocol, request_type: type[Any]) -> None:
    request = request_type(type_url="t", response_nonce="1")
    request.error_detail.message = 'goo.gle/debugproto value: "hidden" : Proto constraint validation failed (why)'

    received = protocol.read(request.SerializeToString())

    assert received.request.request.error == ": Proto constraint validation failed (why)"
