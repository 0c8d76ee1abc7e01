"""One ADS stream without its I/O: which type is pushed next, and what may delay it.

Types go out in the order of the group; a later type waits until the earlier ones are ACKed or NACKed, but never longer
than `PATIENCE` after they were sent, so that a client that answers nothing for one type still gets the others. A type
never waits for its own parent: Envoy ACKs a cluster only once it is warm, and endpoints are what warms it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from control_plane.server.subscription import (
    DeltaRequest,
    DeltaSubscription,
    Flight,
    Push,
    SotwRequest,
    SotwSubscription,
    Verdict,
)
from control_plane.server.types import NOTHING, UNAWAITED, WARMING
from control_plane.snapshot import Snapshot

PATIENCE = 2.0

Subscriptions = SotwSubscription | DeltaSubscription
Request = SotwRequest | DeltaRequest


@dataclass(frozen=True)
class TypeRequest:
    """A request and the type that it is about."""

    type_url: str
    request: Request


class Stream:
    """The subscriptions of one stream; all requests are of one protocol, that of the RPC."""

    def __init__(self, push_order: tuple[str, ...], nonces: Iterator[str]) -> None:
        self._push_order = push_order
        self._nonces = nonces
        self.subscriptions: dict[str, Subscriptions] = {}

    def receive(self, request: TypeRequest, now: float) -> Verdict | None:
        """Takes a request; types outside the group are empty here, and hold nothing else up."""
        subscription = self.subscriptions.get(request.type_url)
        match request.request:
            case SotwRequest() as sotw:
                if not isinstance(subscription, SotwSubscription):
                    subscription = SotwSubscription(request.type_url, self._nonces)
                verdict = subscription.receive(sotw, now)
            case DeltaRequest() as delta:
                if not isinstance(subscription, DeltaSubscription):
                    subscription = DeltaSubscription(request.type_url, self._nonces)
                verdict = subscription.receive(delta, now)
        self.subscriptions[request.type_url] = subscription
        return verdict

    def next_push(self, snapshot: Snapshot, now: float) -> Push | None:
        """The next response to send, or None while there is nothing to send or an earlier type is awaited."""
        for subscription in self._opaque():
            if (push := subscription.push(snapshot, now)) is not None:
                return push
        awaited: set[str] = set()
        for type_url, subscription in self._ordered():
            if awaited - WARMING.get(type_url, NOTHING):
                return None
            if (push := subscription.push(snapshot, now)) is not None:
                self._tell_child(push.type_url, subscription)
                return push
            flight = None if type_url in UNAWAITED else subscription.in_flight
            if flight is not None and now < _overdue_at(flight):
                awaited.add(type_url)
        return None

    def look_again_at(self, now: float) -> float | None:
        """When `next_push` may answer differently though nothing was received."""
        flights = (subscription.in_flight for subscription in self.subscriptions.values())
        return min((at for flight in flights if flight and (at := _overdue_at(flight)) > now), default=None)

    def settled(self, snapshot: Snapshot) -> bool:
        """Whether the client has judged everything of this snapshot that it asked for."""
        return all(
            subscription.in_flight is None and not subscription.pending(snapshot)
            for subscription in self.subscriptions.values()
        )

    def refuses(self) -> bool:
        """Whether the last word on some type was a NACK."""
        return any(subscription.nack is not None for subscription in self.subscriptions.values())

    def _ordered(self) -> Iterator[tuple[str, Subscriptions]]:
        for type_url in self._push_order:
            if (subscription := self.subscriptions.get(type_url)) is not None:
                yield type_url, subscription

    def _opaque(self) -> Iterator[Subscriptions]:
        return (item for type_url, item in self.subscriptions.items() if type_url not in self._push_order)

    def _tell_child(self, type_url: str, parent: Subscriptions) -> None:
        for child, its_parents in WARMING.items():
            if type_url in its_parents and child in self.subscriptions:
                self.subscriptions[child].parents_pushed(parent.changed())


def _overdue_at(flight: Flight) -> float:
    return flight.sent_at + PATIENCE
