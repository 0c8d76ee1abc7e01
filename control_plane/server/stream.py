"""One stream without its I/O: which type is pushed next, and what may delay it.

Types go out in the order of the group; a later type waits until the earlier ones are ACKed or NACKed, but never longer
than `PATIENCE`, so that a client that answers nothing for one type still gets the others. A type never waits for its
own parent: Envoy ACKs a cluster only once it is warm, and endpoints are what warms it.

A node that opens a stream for each type has several; they are `abreast`, and keep the order as if they were one.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from control_plane.server.exchange import Ack, DeltaRequest, Push, SotwRequest, Verdict
from control_plane.server.subscription import PATIENCE, DeltaSubscription, SotwSubscription
from control_plane.server.types import BESIDE_TYPES, NAMES_OF, NOTHING, UNAWAITED, WARMING
from control_plane.snapshot import Named, Snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE

Subscriptions = SotwSubscription | DeltaSubscription
S = TypeVar("S", SotwSubscription, DeltaSubscription)
Request = SotwRequest | DeltaRequest
CHILDREN_OF_CLUSTERS = frozenset(child for child, parents in WARMING.items() if CLUSTER_TYPE in parents)


@dataclass(frozen=True)
class TypeRequest:
    """A request and the type that it is about."""

    type_url: str
    request: Request


class Abreast:
    """The subscriptions of streams that keep one order, by type: a type may be on several.

    It also knows the parents that were sent and whose children were not taken since, on whichever stream: a client that
    comes back with such children has them of what the parents were before.
    """

    def __init__(self) -> None:
        self._by_type: dict[str, list[Subscriptions]] = {}
        self._unwarmed: dict[str, set[str]] = {}  # names of parents by the type of their children

    def of(self, type_url: str) -> Sequence[Subscriptions]:
        return self._by_type.get(type_url, ())

    def add(self, type_url: str, subscription: Subscriptions) -> None:
        self._by_type.setdefault(type_url, []).append(subscription)

    def remove(self, type_url: str, subscription: Subscriptions) -> None:
        self._by_type[type_url].remove(subscription)

    def parents_pushed(self, child: str, names: Collection[str], snapshot: Snapshot) -> None:
        """Parents of this type of children were sent: who has these owes them once more, and who comes later may."""
        if child in NAMES_OF:
            offered = snapshot.of(NAMES_OF[child])
            self._unwarmed[child] = {name for name in (*self._unwarmed.get(child, ()), *names) if name in offered}
        for subscription in self.of(child):
            subscription.parents_pushed(names)

    def came_back(self, type_url: str, subscription: Subscriptions) -> None:
        """What a client says to have is not of a parent that it was sent before it said so [57, 58]."""
        if unwarmed := self._unwarmed.get(type_url):
            subscription.parents_pushed(unwarmed)

    def taken(self, type_url: str, subscription: Subscriptions, push: Push) -> None:
        """The client has these children, of its parents as they are now; but for those that it is owed anew."""
        if unwarmed := self._unwarmed.get(type_url):
            unwarmed.difference_update(item.name for item in push.resources if not subscription.owes(item.name))
            if not unwarmed:  # a set that has become empty keeps its memory
                del self._unwarmed[type_url]


class Stream:
    """The subscriptions of one stream; all requests are of one protocol, that of the RPC."""

    def __init__(
        self,
        push_order: tuple[str, ...],
        nonces: Iterator[str],
        *,
        lifetimes: bool = False,
        abreast: Abreast | None = None,
    ) -> None:
        self._push_order = push_order
        self._nonces = nonces
        self._lifetimes = lifetimes
        self._abreast = abreast or Abreast()
        self._resumed_at: float | None = None
        self._waits_until: float | None = None
        self._parts_at: float | None = None  # when it is told of what it came back with and is not served
        self._unsent_since: float | None = None  # since when another stream has something to send first
        self.subscriptions: dict[str, Subscriptions] = {}

    def receive(self, request: TypeRequest, now: float) -> Verdict | None:
        """Takes a request; types outside the group are empty here, and hold nothing else up."""
        if not self.subscriptions and request.request.resumes and request.type_url not in CHILDREN_OF_CLUSTERS:
            self._resumed_at = now
        known = self.subscriptions.get(request.type_url)
        match request.request:
            case SotwRequest() as sotw:
                asked = known if isinstance(known, SotwSubscription) else self._new(SotwSubscription, request.type_url)
                verdict = asked.receive(sotw, now)
            case DeltaRequest() as delta:
                told = known if isinstance(known, DeltaSubscription) else self._new(DeltaSubscription, request.type_url)
                verdict = told.receive(delta, now)
                if known is None and delta.resumes:
                    self._abreast.came_back(request.type_url, told)
        if isinstance(verdict, Ack):
            self._abreast.taken(request.type_url, self.subscriptions[request.type_url], verdict.push)
        return verdict

    def next_push(self, snapshot: Snapshot, now: float) -> Push | None:
        """The next response to send, or None while there is nothing to send or an earlier type is awaited."""
        parting = (subscription.part(now) for subscription in self.subscriptions.values())
        self._parts_at = min((at for at in parting if at is not None), default=None)
        push = self._next_content(snapshot, now)
        return push or self._next_heartbeat(now)

    def look_again_at(self, now: float) -> float | None:
        """When `next_push` may answer differently though nothing was received."""
        beats = (max(item.beat_at, item.overdue_at) for item in self.subscriptions.values() if item.beat_at is not None)
        times = (self._waits_until, self._parts_at, *beats)
        return min((at for at in times if at is not None and at > now), default=None)

    def concerned_by(self, type_url: str) -> bool:
        """Whether a push or a verdict on another stream may let this one send something."""
        return self._waits_until is not None or any(
            type_url in WARMING.get(child, NOTHING) for child in self.subscriptions
        )

    def close(self) -> None:
        """Holds nobody up any more."""
        for type_url, subscription in self.subscriptions.items():
            self._abreast.remove(type_url, subscription)

    def settled(self, snapshot: Snapshot) -> bool:
        """Whether the client has judged everything of this snapshot that it asked for, but for what is beside it."""
        return all(
            subscription.in_flight is None and not subscription.pending(snapshot)
            for type_url, subscription in self.subscriptions.items()
            if type_url not in BESIDE_TYPES
        )

    def _new(self, kind: type[S], type_url: str) -> S:
        found = kind(type_url, self._nonces, lifetimes=self._lifetimes)
        self.subscriptions[type_url] = found
        self._abreast.add(type_url, found)
        return found

    def _next_content(self, snapshot: Snapshot, now: float) -> Push | None:
        for subscription in self._opaque():
            if (push := subscription.push(snapshot, now)) is not None:
                return push
        push = self._next_in_turn(snapshot, now)
        if self._waits_until is None:
            self._unsent_since = None
        return push

    def _next_in_turn(self, snapshot: Snapshot, now: float) -> Push | None:
        self._waits_until = None
        awaited: dict[str, float] = {}  # until when
        turns = self._turns()
        for type_url in turns:
            parents = WARMING.get(type_url, NOTHING)
            if held := [until for other, until in awaited.items() if other not in parents]:
                self._waits_until = min(held)
                return None
            own = self.subscriptions.get(type_url)
            if own is not None and (push := own.push(snapshot, now)) is not None:
                self._tell_children(type_url, own, snapshot)
                return push
            if type_url in UNAWAITED or type_url == turns[-1]:
                continue
            if (
                until := max(self._unsent_until(type_url, snapshot, now), self._warm_at(type_url, snapshot, now))
            ) > now:
                self._waits_until = until
                return None
            if (until := max((item.overdue_at for item in self._abreast.of(type_url)), default=now)) > now:
                awaited[type_url] = until
        return None

    def _turns(self) -> tuple[str, ...]:
        """The types up to the last that is asked for on this stream."""
        last = max((at for at, type_url in enumerate(self._push_order) if type_url in self.subscriptions), default=-1)
        return self._push_order[: last + 1]

    def _unsent_until(self, type_url: str, snapshot: Snapshot, now: float) -> float:
        """Until when to wait for another stream, which has something to send of an earlier type."""
        own = self.subscriptions.get(type_url)
        if self._resumed_at is not None and type_url == CLUSTER_TYPE and not self._abreast.of(type_url):
            return self._resumed_at + PATIENCE  # a node that comes back opens its streams in any order [59]
        others = (item for item in self._abreast.of(type_url) if item is not own and item.in_flight is None)
        if any(item.pending(snapshot) for item in others):
            self._unsent_since = now if self._unsent_since is None else self._unsent_since
            return self._unsent_since + PATIENCE
        return now

    def _warm_at(self, type_url: str, snapshot: Snapshot, now: float) -> float:
        """Until when to wait for the endpoints of changed clusters: on streams of their own they are asked for late.

        On the stream of its endpoints Envoy ACKs a cluster when it is warm.
        """
        if type_url != ENDPOINTS_TYPE or CLUSTER_TYPE in self.subscriptions:
            return now
        offered, endpoints = snapshot.of(ENDPOINTS_TYPE), self._abreast.of(ENDPOINTS_TYPE)
        return max(
            (_warm_at(clusters, offered, endpoints, now) for clusters in self._abreast.of(CLUSTER_TYPE)), default=now
        )

    def _next_heartbeat(self, now: float) -> Push | None:
        beats = (subscription.heartbeat(now) for subscription in self.subscriptions.values())
        return next((beat for beat in beats if beat is not None), None)

    def _opaque(self) -> Iterator[Subscriptions]:
        return (item for type_url, item in self.subscriptions.items() if type_url not in self._push_order)

    def _tell_children(self, type_url: str, parent: Subscriptions, snapshot: Snapshot) -> None:
        for child, its_parents in WARMING.items():
            if type_url in its_parents:
                self._abreast.parents_pushed(child, parent.changed(), snapshot)


def _warm_at(clusters: Subscriptions, offered: Named, endpoints: Sequence[Subscriptions], now: float) -> float:
    flight = clusters.last_flight
    if flight is None or now >= flight.sent_at + PATIENCE:
        return now
    awaited = (name for name, version in flight.told.items() if version is not None and name in offered)
    warm = all(any(item.has(name) for item in endpoints) for name in awaited)
    return now if warm else flight.sent_at + PATIENCE
