"""Lifetimes of resources are confirmed in time, to those who can read them, and nothing else comes of it."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from control_plane.server.exchange import DeltaRequest, Push, SotwRequest
from control_plane.server.subscription import BEATS_A_LIFE, PATIENCE, DeltaSubscription, SotwSubscription
from control_plane.snapshot import Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE

TTL = 6.0
BEAT = TTL / BEATS_A_LIFE
KINDS = {"sotw": SotwSubscription, "delta": DeltaSubscription}
BOTH = pytest.mark.parametrize("kind", list(KINDS))


def world(body: str = "1", *, type_url: str = ENDPOINTS_TYPE) -> Snapshot:
    """`a` has a lifetime, `b` has none."""
    mortal, lasting = (resource(type_url, name, body.encode()) for name in "ab")
    return snapshot([replace(mortal, ttl=TTL), lasting])


def started(kind: str, *, lifetimes: bool = True, type_url: str = ENDPOINTS_TYPE) -> Any:
    found = KINDS[kind](type_url, (str(number) for number in itertools.count(1)), lifetimes=lifetimes)
    found.receive(SotwRequest(("a", "b")) if kind == "sotw" else DeltaRequest(("a", "b")), 0.0)
    return found


def answer(kind: str, subscription: Any, push: Push, now: float, error: str | None = None) -> Any:
    request = (
        SotwRequest(("a", "b"), nonce=push.nonce, error=error)
        if kind == "sotw"
        else DeltaRequest(nonce=push.nonce, error=error)
    )
    return subscription.receive(request, now)


def taken(kind: str, **options: Any) -> Any:
    """A subscription whose client runs the world since 0.0."""
    found = started(kind, **options)
    answer(kind, found, found.push(world(type_url=options.get("type_url", ENDPOINTS_TYPE)), 0.0), 0.0)
    return found


@BOTH
def test_66_a_lifetime_is_confirmed_again_and_again(kind: str) -> None:
    client = taken(kind)

    assert client.heartbeat(BEAT - 0.1) is None
    for number in (1, 2, 3):
        beat = client.heartbeat(number * BEAT)
        assert [item.name for item in beat.resources] == ["a"]
        assert beat.version == client.acked_version
        assert answer(kind, client, beat, number * BEAT) is None, "67. it is no push that is judged"
        assert client.beat_at == (number + 1) * BEAT


@BOTH
def test_67_a_confirmation_changes_nothing(kind: str) -> None:
    client = taken(kind)
    before = (client.sent_version, client.acked_version)
    beat = client.heartbeat(BEAT)
    answer(kind, client, beat, BEAT)

    assert (client.sent_version, client.acked_version) == before
    assert client.push(world(), BEAT) is None
    assert client.in_flight is None


@BOTH
def test_66_nobody_is_told_of_lifetimes_who_cannot_read_them(kind: str) -> None:
    client = taken(kind, lifetimes=False)

    assert client.beat_at is None
    assert client.heartbeat(BEAT) is None


@BOTH
def test_a_confirmation_waits_for_a_verdict_unless_it_is_overdue(kind: str) -> None:
    client = taken(kind)
    push = client.push(world("2"), BEAT)
    assert client.heartbeat(2 * BEAT - 0.1) is None

    beat = client.heartbeat(BEAT + max(PATIENCE, BEAT))
    assert beat.version == push.version
    verdict = answer(kind, client, beat, 3 * BEAT)
    assert verdict.push is push, "a client answers the last of what it got"
    assert client.in_flight is None


def test_in_delta_a_confirmation_states_the_version_that_the_client_has() -> None:
    client = taken("delta")
    held = client.heartbeat(BEAT).resources[0].version
    answer("delta", client, client.push(world("2"), BEAT), BEAT, error="no")
    client.push(world("2"), BEAT)

    assert client.heartbeat(3 * BEAT).resources[0].version == held


def test_where_absence_deletes_the_whole_state_is_sent_again() -> None:
    client = taken("sotw", type_url=CLUSTER_TYPE)

    assert [(item.name, item.body) for item in client.heartbeat(BEAT).resources] == [("a", b"1"), ("b", b"1")]


def test_a_client_that_comes_back_with_all_of_it_is_confirmed_at_once() -> None:
    client = DeltaSubscription(ENDPOINTS_TYPE, iter("123"), lifetimes=True)
    versions = {name: item.version for name, item in world().of(ENDPOINTS_TYPE).items()}
    client.receive(DeltaRequest(("a", "b"), initial_versions=versions), 0.0)
    assert client.push(world(), 0.0) is None

    assert [item.name for item in client.heartbeat(0.0).resources] == ["a"]
