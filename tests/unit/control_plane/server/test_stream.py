"""The order of types on one stream, and what may delay a push."""

import itertools

from control_plane.server.stream import PATIENCE, Stream, TypeRequest
from control_plane.server.subscription import DeltaRequest, Push
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
    assert stream.refuses()


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
