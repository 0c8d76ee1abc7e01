"""One stream and one type, statement by statement of docs/xds-conformance.md; the ids carry the numbers."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from control_plane.server.left import RETURN_SECONDS
from control_plane.server.subscription import (
    Ack,
    DeltaRequest,
    DeltaSubscription,
    Nack,
    Push,
    SotwRequest,
    SotwSubscription,
)
from control_plane.server.types import REFERRED_TYPES
from control_plane.snapshot import EMPTY, Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE


def world(type_url: str, **bodies: str) -> Snapshot:
    return snapshot([resource(type_url, name, body.encode()) for name, body in bodies.items()])


@dataclass
class Client:
    """Speaks for a client: `ask` sends names, `ack` and `nack` judge the last push, `take` is what the server sends."""

    subscription: Any
    type_url: str
    held: Snapshot = EMPTY
    pushes: list[Push] = field(default_factory=list)

    def serve(self, **bodies: str) -> "Client":
        self.held = world(self.type_url, **bodies)
        return self

    def send(self, request: SotwRequest | DeltaRequest) -> Ack | Nack | None:
        return self.subscription.receive(request, 0.0)

    def take(self) -> Push | None:
        push = self.subscription.push(self.held, 0.0)
        if push is not None:
            self.pushes.append(push)
        return push

    def names(self) -> str | None:
        """The next push as text: names with a changed content, then removed ones with a minus; None: nothing."""
        push = self.take()
        if push is None:
            return None
        return " ".join([item.name for item in push.resources] + [f"-{name}" for name in push.removed])

    @property
    def nonce(self) -> str:
        return self.pushes[-1].nonce


class Sotw(Client):
    def ask(self, *names: str, nonce: str | None = None, version: str = "") -> None:
        told = (self.nonce if self.pushes else "") if nonce is None else nonce
        self.send(SotwRequest(names, version, told))

    def ack(self, *names: str) -> Ack | Nack | None:
        return self.send(SotwRequest(names, self.pushes[-1].version, self.nonce))

    def nack(self, *names: str, message: str = "bad") -> Ack | Nack | None:
        return self.send(SotwRequest(names, "", self.nonce, message))


class Delta(Client):
    def ask(
        self, *subscribe: str, drop: Sequence[str] = (), nonce: str = "", initial: dict[str, str] | None = None
    ) -> None:
        self.send(DeltaRequest(subscribe, tuple(drop), initial or {}, nonce))

    def ack(self, *subscribe: str) -> Ack | Nack | None:
        return self.send(DeltaRequest(subscribe, nonce=self.nonce))

    def nack(self, *, message: str = "bad") -> Ack | Nack | None:
        return self.send(DeltaRequest(nonce=self.nonce, error=message))


def nonces() -> Any:
    return (f"n{number}" for number in itertools.count(1))


def sotw(type_url: str = CLUSTER_TYPE) -> Sotw:
    return Sotw(SotwSubscription(type_url, nonces()), type_url)


def delta(type_url: str = CLUSTER_TYPE) -> Delta:
    return Delta(DeltaSubscription(type_url, nonces()), type_url)


BOTH = pytest.mark.parametrize("start", [sotw, delta], ids=["sotw", "delta"])


@BOTH
def test_12_nonces_are_unique(start: Any) -> None:
    client = start().serve(a="1")
    client.ask()
    first = client.take()
    client.ack()
    second = client.serve(a="2").take()

    assert first.nonce
    assert first.nonce != second.nonce


@BOTH
def test_13_the_same_content_has_the_same_version_on_every_stream(start: Any) -> None:
    one, other = start().serve(a="1"), start().serve(a="1")
    one.ask()
    other.ask()

    assert one.take().version == other.take().version


@BOTH
def test_14_an_ack_produces_no_response(start: Any) -> None:
    client = start().serve(a="1")
    client.ask()
    client.take()

    assert isinstance(client.ack(), Ack)
    assert client.names() is None


def test_15_a_nack_is_told_by_its_error_and_not_by_its_version() -> None:
    client = sotw().serve(a="1")
    client.ask()
    client.take()

    assert isinstance(client.send(SotwRequest((), "an older version", client.nonce)), Ack)


@BOTH
def test_16_refused_content_is_not_sent_again_but_the_next_is(start: Any) -> None:
    client = start().serve(a="1")
    client.ask()
    client.take()
    assert isinstance(client.nack(), Nack)

    assert client.names() is None
    assert client.serve(a="1").names() is None, "equal content in a new snapshot is the same content"
    assert client.serve(a="2").names() == "a"


@BOTH
def test_16_going_back_to_what_ran_before_a_refused_push_is_sent(start: Any) -> None:
    """The client may have taken a part of the refused push."""
    client = start().serve(a="1")
    client.ask()
    client.take()
    client.ack()
    client.serve(a="2").take()
    client.nack()

    assert client.serve(a="1").names() == "a"
    client.ack()
    assert client.subscription.nack is None


@BOTH
def test_17_18_a_refusal_is_kept_until_a_later_push_is_accepted(start: Any) -> None:
    client = start().serve(a="1")
    client.ask()
    refused = client.take()
    client.nack(message="no such thing")

    found = client.subscription.nack
    assert (found.message, found.push) == ("no such thing", refused)
    client.serve(a="2").take()
    client.ack()
    assert client.subscription.nack is None


def test_19_23_a_stale_request_is_dropped_and_its_names_come_with_the_ack() -> None:
    client = sotw(ENDPOINTS_TYPE).serve(a="1", b="1")
    client.ask("a")
    client.take()
    stale = client.nonce
    client.ack("a")
    client.serve(a="2", b="1").take()
    client.ask("a", "b", nonce=stale)
    assert client.names() is None

    client.ack("a", "b")
    assert client.names() == "b"


def test_20_a_stale_nonce_does_not_undo_a_delta_subscription() -> None:
    client = delta(ENDPOINTS_TYPE).serve(a="1", b="1")
    client.ask("a")
    client.take()
    client.ask("b", nonce="stale")
    client.ack()

    assert client.names() == "b"


@BOTH
def test_21_a_nonce_of_an_earlier_stream_is_an_initial_request(start: Any) -> None:
    client = start().serve(a="1")
    client.ask(nonce="another-stream-7")

    assert client.names() == "a"


@pytest.mark.parametrize(
    ("type_url", "names", "version", "expected"),
    [
        pytest.param(CLUSTER_TYPE, (), "same", None, id="wildcard, same version"),
        pytest.param(CLUSTER_TYPE, (), "other", "a", id="wildcard, other version"),
        pytest.param(CLUSTER_TYPE, ("a",), "same", "a", id="by name"),
        pytest.param(ENDPOINTS_TYPE, ("a",), "same", "a", id="a type without wildcard"),
    ],
)
def test_22_a_resend_after_reconnecting_is_skipped_only_where_safe(
    type_url: str, names: tuple[str, ...], version: str, expected: str | None
) -> None:
    client = sotw(type_url).serve(a="1")
    same = client.held.version(type_url)
    client.ask(*names, version=same if version == "same" else "0")

    assert client.names() == expected


def test_26_a_newly_named_resource_is_sent_though_it_was_sent_before() -> None:
    client = sotw(ENDPOINTS_TYPE).serve(a="1", b="1")
    client.ask("a", "b")
    client.take()
    client.ack("a")
    assert client.names() is None, "27. dropping a name produces no response"

    client.ask("a", "b")
    assert client.names() == "b"


@BOTH
def test_28_a_name_that_does_not_exist_is_pushed_when_it_does(start: Any) -> None:
    client = start(ENDPOINTS_TYPE).serve(a="1")
    client.ask("a", "later")
    client.take()
    client.ack(*(["a", "later"] if isinstance(client, Sotw) else []))

    assert client.serve(a="1", later="1").names() == "later"


def test_29_a_delta_name_that_does_not_exist_is_answered_at_once() -> None:
    client = delta(ENDPOINTS_TYPE).serve(a="1")
    client.ask("a", "nothing")

    assert client.names() == "a -nothing"


SEQUENCES = [
    pytest.param(sotw, CLUSTER_TYPE, [()], "a b", id="30-sotw-legacy-wildcard"),
    pytest.param(sotw, CLUSTER_TYPE, [("*",)], "a b", id="31-sotw-explicit-first"),
    pytest.param(sotw, CLUSTER_TYPE, [("a",), ("*",)], "a b", id="31-sotw-explicit-later"),
    pytest.param(sotw, CLUSTER_TYPE, [("a",), ()], None, id="30-sotw-no-legacy-after-a-name"),
    pytest.param(sotw, CLUSTER_TYPE, [(), ("*", "a"), ("a",), ()], None, id="32-sotw-unsubscribe-all"),
    pytest.param(sotw, CLUSTER_TYPE, [("*", "a", "a")], "a b", id="38-sotw-twice-named"),
    pytest.param(sotw, ENDPOINTS_TYPE, [()], None, id="39-sotw-no-legacy-for-endpoints"),
    pytest.param(sotw, ENDPOINTS_TYPE, [("a",)], "a", id="41-sotw-only-what-is-asked"),
]


@pytest.mark.parametrize(("start", "type_url", "requests", "expected"), SEQUENCES)
def test_sotw_interest(start: Any, type_url: str, requests: list[tuple[str, ...]], expected: str | None) -> None:
    client = start(type_url).serve(a="1", b="1")
    for names in requests[:-1]:
        client.ask(*names)
        if client.take() is not None:
            client.ack(*names)
    client.serve(a="2", b="2")
    client.ask(*requests[-1])

    assert client.names() == expected


@pytest.mark.parametrize(
    ("type_url", "steps", "expected"),
    [
        pytest.param(CLUSTER_TYPE, [((), ())], "a b", id="30-legacy-wildcard"),
        pytest.param(CLUSTER_TYPE, [(("*",), ())], "a b", id="31-explicit-first"),
        pytest.param(CLUSTER_TYPE, [(("a",), ()), (("*",), ())], "a b", id="31-explicit-later"),
        pytest.param(
            CLUSTER_TYPE, [((), ()), (("*", "a"), ()), ((), ("*",)), ((), ("a",))], None, id="32-unsubscribe-all"
        ),
        pytest.param(CLUSTER_TYPE, [(("*", "a"), ()), ((), ("a",))], "a b", id="34-unsubscribe-a-name-under-wildcard"),
        pytest.param(CLUSTER_TYPE, [(("*", "a"), ()), ((), ("*",))], "a", id="35-unsubscribe-the-wildcard"),
        pytest.param(ENDPOINTS_TYPE, [(("a",), ()), ((), ("b",))], "a", id="37-phantom-unsubscribe"),
        pytest.param(ENDPOINTS_TYPE, [(("a", "a"), ())], "a", id="38-twice-named"),
        pytest.param(ENDPOINTS_TYPE, [((), ())], None, id="39-no-legacy-for-endpoints"),
        pytest.param(ENDPOINTS_TYPE, [(("a",), ()), (("b",), ("a",))], "b", id="40-both-in-one-message"),
        pytest.param(CLUSTER_TYPE, [(("*", "a"), ())], "a b", id="49-named-clusters-beside-the-wildcard"),
    ],
)
def test_delta_interest(type_url: str, steps: list[tuple[Any, Any]], expected: str | None) -> None:
    client = delta(type_url).serve(a="1", b="1")
    for subscribe, drop in steps[:-1]:
        client.ask(*subscribe, drop=drop)
        if client.take() is not None:
            client.ack()
    client.serve(a="2", b="2")
    client.ask(*steps[-1][0], drop=steps[-1][1])

    assert client.names() == expected


@BOTH
def test_33_a_name_beside_the_wildcard_is_remembered(start: Any) -> None:
    client = start().serve(a="1")
    client.ask("*", "later")
    client.take()
    client.ack(*(["*", "later"] if isinstance(client, Sotw) else []))

    expected = "a later" if isinstance(client, Sotw) else "later"
    assert client.serve(a="1", later="1").names() == expected


@pytest.mark.parametrize(("bodies", "expected"), [({"a": "1"}, "a"), ({}, "-a")], ids=["present", "absent"])
def test_34_unsubscribing_a_name_under_the_wildcard_is_answered(bodies: dict[str, str], expected: str) -> None:
    client = delta().serve(**bodies)
    client.ask("*", "a")
    client.take()
    client.ack()
    client.ask(drop=["a"])

    assert client.names() == expected


def test_36_a_known_name_that_is_subscribed_again_is_sent_again() -> None:
    client = delta(ENDPOINTS_TYPE).serve(a="1", b="1")
    client.ask("a", "b")
    client.take()
    client.ack()
    client.ask("a")

    assert client.names() == "a"


def test_44_a_delta_carries_only_what_changed() -> None:
    client = delta().serve(a="1", b="1")
    client.ask()
    client.take()
    client.ack()

    assert client.serve(a="2", b="1").names() == "a"


def test_45_a_deleted_resource_is_removed_once() -> None:
    client = delta().serve(a="1", b="1")
    client.ask()
    client.take()
    client.ack()

    assert client.serve(a="1").names() == "-b"
    client.ack()
    assert client.names() is None


def comes_back(type_url: str) -> tuple[DeltaSubscription, Snapshot]:
    """With three resources, of which one has changed and one has gone; and what is served now."""
    before = world(type_url, same="1", changed="1", gone="1").of(type_url)
    subscription = DeltaSubscription(type_url, nonces())
    subscription.receive(DeltaRequest(("*",), initial_versions={name: it.version for name, it in before.items()}), 0.0)
    return subscription, world(type_url, same="1", changed="2", new="1")


def told(subscription: DeltaSubscription, held: Snapshot, now: float) -> tuple[list[str], list[str]] | None:
    """The names that are sent and those that are taken away then; they are ACKed."""
    if (push := subscription.push(held, now)) is None:
        return None
    subscription.receive(DeltaRequest(nonce=push.nonce), now)
    return [item.name for item in push.resources], list(push.removed)


def test_46_a_reconnecting_client_gets_the_difference() -> None:
    subscription, held = comes_back(LISTENER_TYPE)

    assert told(subscription, held, 0.0) == (["changed", "new"], ["gone"])


@pytest.mark.parametrize("type_url", sorted(REFERRED_TYPES))
def test_46_what_its_routes_may_need_is_taken_away_when_it_cannot_run_them_any_more(type_url: str) -> None:
    subscription, held = comes_back(type_url)
    assert told(subscription, held, 0.0) == (["changed", "new"], [])
    assert subscription.part(1.0) == RETURN_SECONDS
    assert told(subscription, held, 1.0) is None
    assert not subscription.pending(held)

    assert subscription.part(RETURN_SECONDS) is None
    assert subscription.pending(held)
    assert told(subscription, held, RETURN_SECONDS) == ([], ["gone"])
    assert told(subscription, held, RETURN_SECONDS) is None


def test_46_what_is_served_again_meanwhile_is_like_any_other() -> None:
    subscription, held = comes_back(CLUSTER_TYPE)
    told(subscription, held, 0.0)
    again = world(CLUSTER_TYPE, same="1", changed="2", new="1", gone="2")
    assert told(subscription, again, 1.0) == (["gone"], [])

    assert told(subscription, held, 2.0) == ([], ["gone"])
    subscription.part(RETURN_SECONDS)
    assert told(subscription, held, RETURN_SECONDS) is None


def test_46_what_is_asked_for_by_name_meanwhile_is_answered() -> None:
    subscription, held = comes_back(CLUSTER_TYPE)
    told(subscription, held, 0.0)
    subscription.receive(DeltaRequest(("gone",)), 1.0)

    assert told(subscription, held, 1.0) == ([], ["gone"])
    subscription.part(RETURN_SECONDS)
    assert told(subscription, held, RETURN_SECONDS) is None


def test_46_what_is_not_wanted_any_more_is_not_told_of() -> None:
    subscription, held = comes_back(ENDPOINTS_TYPE)
    told(subscription, held, 0.0)
    subscription.receive(DeltaRequest(unsubscribe=("*",)), 1.0)
    subscription.part(RETURN_SECONDS)

    assert told(subscription, held, RETURN_SECONDS) is None


def test_46_a_reconnecting_client_that_has_all_gets_nothing() -> None:
    client = delta().serve(a="1")
    client.ask(initial={"a": client.held.of(CLUSTER_TYPE)["a"].version})

    assert client.names() is None


def test_47_initial_versions_count_in_the_first_message_only() -> None:
    client = delta().serve(a="1")
    client.ask()
    client.take()
    client.ack()
    client.serve(a="2")
    client.ask(initial={"a": client.held.of(CLUSTER_TYPE)["a"].version})

    assert client.names() == "a"


@BOTH
def test_48_50_a_first_wildcard_is_answered_even_if_there_is_nothing(start: Any) -> None:
    client = start()
    client.ask()

    assert client.names() == ""


def test_50_the_last_cluster_is_deleted_by_an_empty_list() -> None:
    client = sotw().serve(a="1")
    client.ask()
    client.take()
    client.ack()

    assert client.serve().names() == ""
    client.ack()
    assert client.names() is None


def test_51_absent_endpoints_are_not_deleted() -> None:
    client = sotw(ENDPOINTS_TYPE).serve(a="1")
    client.ask("a")
    client.take()
    client.ack("a")

    assert client.serve().names() is None


@BOTH
def test_52_an_empty_world_does_not_hurt_an_open_subscription(start: Any) -> None:
    client = start().serve(a="1")
    client.ask()
    client.take()
    client.ack()
    client.held = EMPTY

    assert client.names() in ("", "-a")
    client.ack()
    assert client.serve(a="1").names() == "a"


def test_57_endpoints_are_sent_again_after_their_cluster_when_envoy_asks_again() -> None:
    client = sotw(ENDPOINTS_TYPE).serve(a="1", b="1")
    client.ask("a", "b")
    client.take()
    client.ack("a", "b")
    client.ask("a", "b")
    assert client.names() is None, "asking again for nothing is no reason"

    client.subscription.parents_pushed(["a"])
    client.ask("a", "b")
    assert client.names() == "a"
    client.ack("a", "b")
    assert client.names() is None


def test_57_endpoints_follow_their_cluster_unasked_in_delta() -> None:
    client = delta(ENDPOINTS_TYPE).serve(a="1", b="1")
    client.ask("a", "b")
    client.take()
    client.ack()
    client.subscription.parents_pushed(["a", "new"])

    assert client.names() == "a"


@BOTH
def test_61_a_missing_name_does_not_mute_the_others(start: Any) -> None:
    client = start(ENDPOINTS_TYPE).serve(a="1")
    client.ask("missing", "a")

    assert client.take().resources[0].name == "a"


@BOTH
def test_63_one_push_is_in_flight_and_the_latest_wins(start: Any) -> None:
    client = start().serve(a="1")
    client.ask()
    client.take()
    assert client.serve(a="2").names() is None
    assert client.serve(a="3").names() is None

    client.ack()
    push = client.take()
    assert [item.body for item in push.resources] == [b"3"]
    client.ack()
    assert client.names() is None


def test_the_refused_part_of_a_push_comes_again_with_the_next_change() -> None:
    """A NACK says nothing of which resources were taken."""
    client = delta().serve(a="1", b="1")
    client.ask()
    client.take()
    client.nack()

    assert client.serve(a="1", b="2").names() == "a b"
