"""What one stream wants of one resource type, what it has, and what it is owed: the xDS protocol without any I/O.

Requests go in, at most one un-ACKed push comes out; the caller moves bytes and keeps time. The state-of-the-world and
the delta protocol differ in how a request changes the interest and in what a response carries, and in nothing else.
Numbers in brackets are statements of docs/xds-conformance.md.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from control_plane.server.types import FULL_STATE_TYPES
from control_plane.snapshot import Resource, Snapshot

WILDCARD = "*"

# Versions by resource name; None: the resource does not exist.
Versions = dict[str, str | None]


@dataclass(frozen=True)
class SotwRequest:
    """A DiscoveryRequest: its names replace the earlier ones. `error` is the reason of a NACK, and there only."""

    names: tuple[str, ...] = ()
    version: str = ""
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest: its names change the earlier ones."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Push:
    """A response to send; `version` is that of the whole type."""

    type_url: str
    version: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flight:
    """A push whose verdict is not in yet, with what it tells the client, and when it left."""

    push: Push
    told: Versions
    sent_at: float


@dataclass(frozen=True)
class Ack:
    """The client runs this push."""

    push: Push
    seconds: float


@dataclass(frozen=True)
class Nack:
    """The client refused this push and keeps what it had."""

    push: Push
    seconds: float
    message: str


Verdict = Ack | Nack


class Subscription(ABC):
    """One stream's subscription to one type."""

    def __init__(self, type_url: str, nonces: Iterator[str]) -> None:
        self.in_flight: Flight | None = None
        self.sent_version = ""
        self.acked_version = ""
        self.nack: Nack | None = None
        self._type_url = type_url
        self._full_state = type_url in FULL_STATE_TYPES
        self._nonces = nonces
        self._started = False
        self._named = False  # once a name was given, naming nothing is no wildcard any more [30, 32]
        self._names: frozenset[str] = frozenset()
        self._wildcard = False
        self._known: Versions = {}  # what the client ACKed or said it has
        self._refused: Versions = {}  # what it NACKed: not sent again by itself [16]
        self._owed: set[str] = set()  # names that get an answer even if nothing changed
        self._answer_due = False  # a wildcard gets a response even if there is nothing [48, 50]
        self._idle_at: Mapping[str, Resource] | None = None

    def pending(self, snapshot: Snapshot) -> bool:
        """Whether the client lacks something of this snapshot that it has not refused."""
        return self._plan(snapshot) is not None

    def push(self, snapshot: Snapshot, now: float) -> Push | None:
        """The next response; None while one is in flight [63], or where the client has all it wants."""
        if self.in_flight is not None or (told := self._plan(snapshot)) is None:
            return None
        resources, removed = self._contents(told, snapshot.of(self._type_url))
        push = Push(self._type_url, snapshot.version(self._type_url), next(self._nonces), resources, removed)
        self.in_flight = Flight(push, told, now)
        self.sent_version = push.version
        self._owed.clear()
        self._answer_due = False
        return push

    def changed(self) -> tuple[str, ...]:
        """The resources that are new or different in the push in flight."""
        told = {} if self.in_flight is None else self.in_flight.told
        return tuple(name for name, version in told.items() if version is not None)

    @abstractmethod
    def parents_pushed(self, names: Collection[str]) -> None:
        """Clusters or listeners were pushed: the client may need its endpoints or routes once more [57, 58]."""

    @abstractmethod
    def _contents(
        self, told: Versions, resources: Mapping[str, Resource]
    ) -> tuple[tuple[Resource, ...], tuple[str, ...]]: ...

    def _difference(self, resources: Mapping[str, Resource]) -> Versions:
        """What to tell the client: changed and gone resources, those it is owed, and refused ones along with them.

        A NACK may have left the client with a part of the push, so what was refused is told again with the next change.
        """
        wanted = self._wanted(resources)
        names = {*self._known, *self._refused, *self._owed, *wanted}
        differ = (
            name
            for name in names
            if name in self._owed or name in self._refused or self._known.get(name) != wanted.get(name)
        )
        return {name: wanted.get(name) for name in sorted(differ)}

    def _wanted(self, resources: Mapping[str, Resource]) -> Mapping[str, str]:
        if self._wildcard:
            return {name: item.version for name, item in resources.items()}
        return {name: resources[name].version for name in self._names if name in resources}

    def _plan(self, snapshot: Snapshot) -> Versions | None:
        resources = snapshot.of(self._type_url)
        if self._idle_at is resources:
            return None
        difference = self._difference(resources)
        if self._answer_due or any(self._is_news(name, version) for name, version in difference.items()):
            return difference
        self._idle_at = resources
        return None

    def _is_news(self, name: str, version: str | None) -> bool:
        return name in self._owed or name not in self._refused or self._refused[name] != version

    def _verdict(self, nonce: str, error: str | None, now: float) -> Verdict | None:
        """A NACK is told by its error alone [15]; a nonce that is not in flight says nothing [19, 21]."""
        self._idle_at = None
        flight = self.in_flight
        if flight is None or not nonce or nonce != flight.push.nonce:
            return None
        self.in_flight = None
        seconds = now - flight.sent_at
        if error is None:
            self._accept(flight)
            return Ack(flight.push, seconds)
        self._refused.update({name: version for name, version in flight.told.items() if self._wants(name)})
        self.nack = Nack(flight.push, seconds, error)
        return self.nack

    def _accept(self, flight: Flight) -> None:
        self.acked_version = flight.push.version
        self.nack = None
        for name, version in flight.told.items():
            self._refused.pop(name, None)
            if version is None or not self._wants(name):
                self._known.pop(name, None)
            else:
                self._known[name] = version

    def _wants(self, name: str) -> bool:
        return self._wildcard or name in self._names

    def _want(self, names: Iterable[str], *, wildcard: bool) -> None:
        """Sets the interest; what is no longer wanted is forgotten without a word [27, 35]."""
        if wildcard and not self._wildcard:
            self._answer_due = True
        if not wildcard:
            self._answer_due = False
        self._names = frozenset(names)
        self._wildcard = wildcard
        for held in (self._known, self._refused):
            for name in [name for name in held if not self._wants(name)]:
                del held[name]
        self._owed = {name for name in self._owed if self._wants(name)}


class SotwSubscription(Subscription):
    """State of the world: a request names everything that is wanted."""

    def __init__(self, type_url: str, nonces: Iterator[str]) -> None:
        super().__init__(type_url, nonces)
        self._last_nonce = ""
        self._claimed_version = ""
        self._warming: frozenset[str] = frozenset()  # changed parents whose children were not asked for again yet

    def receive(self, request: SotwRequest, now: float) -> Verdict | None:
        """Takes a request; the verdict on the push in flight, where the request carries one.

        A stale request is dropped whole: the ACK that is on its way carries the client's latest names [19, 23].
        """
        verdict = self._verdict(request.nonce, request.error, now)
        current = self.in_flight is None and request.nonce in ("", self._last_nonce)
        if verdict is not None or current or not self._started:
            self._change_interest(request, is_question=verdict is None)
            self._started = True
        return verdict

    def push(self, snapshot: Snapshot, now: float) -> Push | None:
        push = super().push(snapshot, now)
        if push is not None:
            self._last_nonce = push.nonce
        return push

    def parents_pushed(self, names: Collection[str]) -> None:
        """Envoy asks again for what warms, with the names and the nonce that it used before."""
        self._warming |= frozenset(names)

    def _change_interest(self, request: SotwRequest, *, is_question: bool) -> None:
        names = frozenset(request.names) - {WILDCARD}
        wildcard = WILDCARD in request.names or (not request.names and self._full_state and not self._named)
        self._named = self._named or bool(request.names)
        if not self._started and wildcard and not names:
            self._claimed_version = request.version
        added = names - self._names
        self._want(names, wildcard=wildcard)
        self._owed |= added  # a newly named resource is sent even if it was sent before [26]
        if is_question and self._started and self._warming:
            self._owed |= (names & self._warming) or names  # endpoints have their cluster's name, routes their own
            self._warming = frozenset()

    def _plan(self, snapshot: Snapshot) -> Versions | None:
        if self._claimed_version:
            self._resume(snapshot)
        return super()._plan(snapshot)

    def _resume(self, snapshot: Snapshot) -> None:
        """A client that comes back with the very version of a whole type lacks nothing of it [22]."""
        if self._claimed_version == snapshot.version(self._type_url):
            self._known.update(self._wanted(snapshot.of(self._type_url)))
            self.sent_version = self.acked_version = self._claimed_version
            self._answer_due = False
        self._claimed_version = ""

    def _difference(self, resources: Mapping[str, Resource]) -> Versions:
        difference = super()._difference(resources)
        if self._full_state:
            return difference
        return {name: version for name, version in difference.items() if version is not None}  # [51]

    def _contents(
        self, told: Versions, resources: Mapping[str, Resource]
    ) -> tuple[tuple[Resource, ...], tuple[str, ...]]:
        names = self._wanted(resources) if self._full_state else told
        return tuple(resources[name] for name in sorted(names)), ()


class DeltaSubscription(Subscription):
    """Incremental: a request names what is new in the interest and what is no longer in it."""

    def receive(self, request: DeltaRequest, now: float) -> Verdict | None:
        """Takes a request; its names count even if its nonce is stale [20]."""
        verdict = self._verdict(request.nonce, request.error, now)
        self._change_interest(request)
        self._started = True
        return verdict

    def parents_pushed(self, names: Collection[str]) -> None:
        """Envoy does not ask again (1.40): a changed cluster would warm until its initial_fetch_timeout, 15 seconds."""
        self._owed |= self._known.keys() & names
        self._idle_at = None

    def _change_interest(self, request: DeltaRequest) -> None:
        subscribe, unsubscribe = frozenset(request.subscribe), frozenset(request.unsubscribe)
        first_versions = {} if self._started else dict(request.initial_versions)  # [47]
        legacy = not self._started and not subscribe and self._full_state
        wildcard = (self._wildcard or WILDCARD in subscribe or legacy) and WILDCARD not in unsubscribe
        left = unsubscribe & self._names
        named = subscribe - {WILDCARD}
        self._want((self._names | named) - unsubscribe, wildcard=wildcard)

        self._known.update({name: version for name, version in first_versions.items() if self._wants(name)})
        if first_versions:
            self._answer_due = False  # it was initialised before: what it has needs no answer [46]
        for name in left & self._known.keys():
            del self._known[name]
        owed = (named - unsubscribe - first_versions.keys()) | (left if wildcard else frozenset())  # [29, 34, 36]
        self._owed |= owed

    def _contents(
        self, told: Versions, resources: Mapping[str, Resource]
    ) -> tuple[tuple[Resource, ...], tuple[str, ...]]:
        changed = tuple(resources[name] for name, version in told.items() if version is not None)
        return changed, tuple(name for name, version in told.items() if version is None)
