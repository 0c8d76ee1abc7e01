"""The order of types on one stream, and what may delay a push."""

import itertools
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from control_plane.server.exchange import DeltaRequest, Push
from control_plane.server.stream import PATIENCE, Abreast, Stream, TypeRequest
from control_plane.server.types import ENVOY_PUSH_ORDER
from control_plane.snapshot import Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE

OPAQUE_TYPE = "type.googleapis.com/example.Unknown"


def world(body: str) -> Snapshot:
    return snapshot([resource(type_url, name_of(type_url), body.encode()) for type_url in ENVOY_PUSH_ORDER])


def name_of(type_url: str) -> str:
    """Secrets have names of their own; those of endpoints are their clusters'."""
    return "s" if type_url == SECRET_TYPE else "a"


def subscribed_stream() -> Stream:
    """A stream that asked for one resource of every type, the last type first."""
    stream = Stream(ENVOY_PUSH_ORDER, (str(number) for number in itertools.count(1)))
    for type_url in reversed(ENVOY_PUSH_ORDER):
        stream.receive(TypeRequest(type_url, DeltaRequest((name_of(type_url),))), 0.0)
    return stream


def ack(stream: Stream, push: Push, *, error: str | None = None) -> None:
    stream.receive(TypeRequest(push.type_url, DeltaRequest(nonce=push.nonce, error=error)), 0.0)


def taken(stream: Stream, held: Snapshot, now: float = 0.0) -> list[str]:
    """The types that are pushed without any answer of the client."""
    found = []
    while (push := stream.next_push(held, now)) is not None:
        found.append(push.type_url)
    return found


def test_54_types_go_out_in_order_once_the_earlier_ones_are_judged() -> None:
    stream, held, order = subscribed_stream(), world("1"), []
    while (push := stream.next_push(held, 0.0)) is not None:
        order.append(push.type_url)
        ack(stream, push)

    assert order == list(ENVOY_PUSH_ORDER)
    assert stream.settled(held)


def test_54_a_refused_type_does_not_hold_up_the_next() -> None:
    stream, held, order = subscribed_stream(), world("1"), []
    while (push := stream.next_push(held, 0.0)) is not None:
        order.append(push.type_url)
        ack(stream, push, error="no")

    assert order == list(ENVOY_PUSH_ORDER)
    assert stream.settled(held)
    assert all(item.nack for item in stream.subscriptions.values())


def test_listeners_wait_for_clusters_and_endpoints_which_do_not_wait_for_each_other() -> None:
    """Envoy ACKs a cluster when it is warm, and its endpoints and secrets warm it."""
    stream, held = subscribed_stream(), world("1")

    assert taken(stream, held) == [SECRET_TYPE, CLUSTER_TYPE, ENDPOINTS_TYPE]
    assert not stream.settled(held)


def test_a_type_that_is_never_judged_delays_the_others_for_a_bounded_time() -> None:
    stream, held = subscribed_stream(), world("1")
    taken(stream, held)

    assert stream.look_again_at(0.0) == PATIENCE
    assert taken(stream, held, now=PATIENCE) == [LISTENER_TYPE, ROUTES_TYPE]


def test_unsubscribing_lets_the_next_type_go() -> None:
    stream, held = subscribed_stream(), world("1")
    assert stream.next_push(held, 0.0) is not None  # a secret, whose verdict nobody waits for
    clusters = stream.next_push(held, 0.0)
    endpoints = stream.next_push(held, 0.0)
    assert clusters is not None
    assert endpoints is not None
    ack(stream, clusters)
    stream.receive(TypeRequest(ENDPOINTS_TYPE, DeltaRequest(unsubscribe=("a",), nonce=endpoints.nonce)), 0.0)

    assert taken(stream, held)[0] == LISTENER_TYPE


def test_5_unknown_types_are_answered_and_hold_nothing_up() -> None:
    stream, held = subscribed_stream(), world("1")
    stream.receive(TypeRequest(OPAQUE_TYPE, DeltaRequest(("x",))), 0.0)

    assert taken(stream, held) == [OPAQUE_TYPE, SECRET_TYPE, CLUSTER_TYPE, ENDPOINTS_TYPE]


def test_6_a_change_of_one_type_is_pushed_alone() -> None:
    stream, held = subscribed_stream(), world("1")
    while (push := stream.next_push(held, 0.0)) is not None:
        ack(stream, push)
    other_route = snapshot(
        [
            *(held.of(type_url)[name_of(type_url)] for type_url in ENVOY_PUSH_ORDER[:-1]),
            resource(ROUTES_TYPE, "a", b"2"),
        ]
    )

    assert taken(stream, other_route) == [ROUTES_TYPE]


def test_57_a_changed_cluster_brings_its_unchanged_endpoints_along() -> None:
    stream, held = subscribed_stream(), world("1")
    while (push := stream.next_push(held, 0.0)) is not None:
        ack(stream, push)
    other_cluster = snapshot(
        [
            *(held.of(type_url)[name_of(type_url)] for type_url in ENVOY_PUSH_ORDER if type_url != CLUSTER_TYPE),
            resource(CLUSTER_TYPE, "a", b"2"),
        ]
    )

    assert taken(stream, other_cluster) == [CLUSTER_TYPE, ENDPOINTS_TYPE]


def with_another_cluster(held: Snapshot) -> Snapshot:
    rest = (item for named in held.resources.values() for item in named.values() if item.type_url != CLUSTER_TYPE)
    return snapshot([*rest, resource(CLUSTER_TYPE, "a", b"2")])


class Node:
    """A node with a stream for each type, everything taken."""

    def __init__(self, held: Snapshot) -> None:
        self.abreast = Abreast()
        self.streams: dict[str, Stream] = {}
        for type_url in ENVOY_PUSH_ORDER:
            self.open(type_url)
            push = self.push(type_url, held)
            assert push is not None
            self.ack(push)

    def open(self, type_url: str, initial: Mapping[str, str] = MappingProxyType({})) -> None:
        nonces = (f"{type_url}-{number}" for number in itertools.count(1))
        self.streams[type_url] = Stream(ENVOY_PUSH_ORDER, nonces, abreast=self.abreast)
        self.ask(type_url, DeltaRequest((name_of(type_url),), initial_versions=initial))

    def ask(self, type_url: str, request: DeltaRequest, now: float = 0.0) -> None:
        self.streams[type_url].receive(TypeRequest(type_url, request), now)

    def push(self, type_url: str, held: Snapshot, now: float = 0.0) -> Push | None:
        return self.streams[type_url].next_push(held, now)

    def ack(self, push: Push) -> None:
        ack(self.streams[push.type_url], push)

    def able(self, held: Snapshot, now: float = 0.0) -> list[str]:
        """The types that may be pushed, whichever stream is asked first."""
        found = [type_url for type_url in reversed(ENVOY_PUSH_ORDER) if self.push(type_url, held, now) is not None]
        return sorted(found, key=ENVOY_PUSH_ORDER.index)


def test_54_the_streams_of_a_node_take_turns() -> None:
    node, held = Node(world("1")), world("2")

    assert node.able(held) == [SECRET_TYPE, CLUSTER_TYPE], "endpoints follow the cluster that they warm"
    assert node.able(held) == [ENDPOINTS_TYPE]
    assert node.able(held) == [], "the others wait for verdicts"
    for type_url in (CLUSTER_TYPE, ENDPOINTS_TYPE):
        node.ack(node.streams[type_url].subscriptions[type_url].in_flight.push)
    assert node.able(held) == [LISTENER_TYPE]
    assert node.able(held) == [ROUTES_TYPE]


def test_a_stream_waits_for_what_another_has_not_sent_for_a_bounded_time() -> None:
    node, held = Node(world("1")), world("2")
    routes = node.streams[ROUTES_TYPE]

    assert node.push(ROUTES_TYPE, held, 10.0) is None
    assert routes.look_again_at(10.0) == 10.0 + PATIENCE
    assert node.push(ROUTES_TYPE, held, 10.0 + PATIENCE) is not None


def test_a_closed_stream_holds_up_no_other() -> None:
    node, held = Node(world("1")), world("2")
    for type_url in (CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE):
        node.streams.pop(type_url).close()

    assert node.push(ROUTES_TYPE, held) is not None


def test_57_a_cluster_brings_its_endpoints_along_on_another_stream() -> None:
    node, changed = Node(world("1")), with_another_cluster(world("1"))
    assert node.push(CLUSTER_TYPE, changed) is not None
    endpoints = node.push(ENDPOINTS_TYPE, changed)

    assert endpoints is not None
    assert [item.name for item in endpoints.resources] == ["a"]


def test_57_endpoints_of_a_changed_cluster_are_owed_until_they_are_taken_on_whichever_stream() -> None:
    """They were on their way when their stream broke; it comes back with those of before."""
    node, changed = Node(world("1")), with_another_cluster(world("1"))
    held = {"a": changed.of(ENDPOINTS_TYPE)["a"].version}
    assert node.push(CLUSTER_TYPE, changed) is not None
    assert node.push(ENDPOINTS_TYPE, changed) is not None

    node.streams.pop(ENDPOINTS_TYPE).close()
    node.open(ENDPOINTS_TYPE, held)
    again = node.push(ENDPOINTS_TYPE, changed)
    assert again is not None
    node.ack(again)

    node.streams.pop(ENDPOINTS_TYPE).close()
    node.open(ENDPOINTS_TYPE, held)
    assert node.push(ENDPOINTS_TYPE, changed) is None


def test_57_a_verdict_on_endpoints_of_before_their_cluster_changed_is_not_one_on_those_it_needs() -> None:
    node = Node(world("1"))
    moved = snapshot([*world("1").of(CLUSTER_TYPE).values(), resource(ENDPOINTS_TYPE, "a", b"2")])
    changed = with_another_cluster(moved)
    before = node.push(ENDPOINTS_TYPE, moved)
    assert before is not None
    assert node.push(CLUSTER_TYPE, changed) is not None
    node.ack(before)

    node.streams.pop(ENDPOINTS_TYPE).close()
    node.open(ENDPOINTS_TYPE, {"a": changed.of(ENDPOINTS_TYPE)["a"].version})
    assert node.push(ENDPOINTS_TYPE, changed) is not None


def test_59_routes_wait_for_endpoints_of_a_node_that_asks_for_none_yet() -> None:
    """It has come back on the streams of clusters and routes, and not yet on that of endpoints."""
    node, held = Node(world("1")), world("2")
    for type_url in (ENDPOINTS_TYPE, LISTENER_TYPE):
        node.streams.pop(type_url).close()
    clusters = node.push(CLUSTER_TYPE, held)
    assert clusters is not None
    node.ack(clusters)
    assert node.push(ROUTES_TYPE, held) is None

    node.open(ENDPOINTS_TYPE)
    endpoints = node.push(ENDPOINTS_TYPE, held)
    assert endpoints is not None
    assert node.push(ROUTES_TYPE, held) is None
    node.ack(endpoints)
    assert node.push(ROUTES_TYPE, held) is not None


@pytest.mark.parametrize(("initial", "waits"), [({"a": "old"}, True), ({}, False)], ids=["comes-back", "is-new"])
def test_59_routes_wait_for_the_stream_of_clusters_of_a_node_that_comes_back(
    initial: dict[str, str], waits: bool
) -> None:
    stream = Stream(ENVOY_PUSH_ORDER, iter("12"), abreast=Abreast())
    stream.receive(TypeRequest(ROUTES_TYPE, DeltaRequest(("a",), initial_versions=initial)), 0.0)

    assert (stream.next_push(world("1"), 0.0) is None) == waits
    if waits:
        assert stream.look_again_at(0.0) == PATIENCE
        assert stream.next_push(world("1"), PATIENCE) is not None


def test_59_routes_wait_for_the_endpoints_of_a_new_cluster_that_are_asked_for_late() -> None:
    """On a stream of its own a cluster is ACKed before its endpoints are asked for."""
    node, both = Node(world("1")), ("a", "new")
    held = snapshot(
        [
            *(resource(type_url, name, b"2") for type_url in (CLUSTER_TYPE, ENDPOINTS_TYPE) for name in both),
            resource(ROUTES_TYPE, "a", b"2"),
        ]
    )
    node.ask(CLUSTER_TYPE, DeltaRequest(("new",)))
    for type_url in (CLUSTER_TYPE, ENDPOINTS_TYPE):
        push = node.push(type_url, held)
        assert push is not None
        node.ack(push)
    assert node.push(ROUTES_TYPE, held) is None

    node.ask(ENDPOINTS_TYPE, DeltaRequest(("new",)))
    push = node.push(ENDPOINTS_TYPE, held)
    assert push is not None
    node.ack(push)
    node.streams.pop(LISTENER_TYPE).close()
    assert node.push(ROUTES_TYPE, held) is not None
