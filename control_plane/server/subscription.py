"""What one stream wants of one resource type, what it has, and what it is owed: the xDS protocol without any I/O.

Requests go in, at most one un-ACKed push comes out; the caller moves bytes and keeps time. The state-of-the-world and
the delta protocol differ in how a request changes the interest and in what a response carries, and in nothing else.
Numbers in brackets are statements of docs/xds-conformance.md.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from weakref import ReferenceType, WeakKeyDictionary, ref

from control_plane.evolving import Evolving
from control_plane.server.difference import Contents, contents_of, everything, heartbeats, shared_contents
from control_plane.server.exchange import (
    WILDCARD,
    Ack,
    DeltaRequest,
    Flight,
    Nack,
    Push,
    SotwRequest,
    Verdict,
    Versions,
)
from control_plane.server.holding import Holding
from control_plane.server.left import Left
from control_plane.server.status import ResourceState
from control_plane.server.types import BESIDE_TYPES, FULL_STATE_TYPES, REFERRED_TYPES
from control_plane.snapshot import Named, Resource, Snapshot
from control_plane.xds.names import VIRTUAL_HOST_TYPE

# A lifetime is confirmed so many times before it ends, so that one confirmation may be late.
BEATS_A_LIFE = 3
# Seconds that a verdict may take before others go on without it.
PATIENCE = 2.0


class Subscription(ABC):
    """One stream's subscription to one type; `lifetimes`: the client can read those of resources."""

    def __init__(self, type_url: str, nonces: Iterator[str], *, lifetimes: bool = False) -> None:
        self.in_flight: Flight | None = None
        self.last_flight: Flight | None = None  # judged or not
        self.sent_version = ""
        self.acked_version = ""
        self.nack: Nack | None = None
        self.beat_at: float | None = None  # when the next heartbeat is due
        self._type_url = type_url
        self._full_state = type_url in FULL_STATE_TYPES
        self._nonces = nonces
        self._lifetimes = lifetimes
        self._beat_nonce = ""  # of a heartbeat that was not answered yet
        self._started = False
        self._named = False  # once a name was given, naming nothing is no wildcard any more [30, 32]
        self._names: frozenset[str] = frozenset()
        self._wildcard = False
        self._held = Holding()
        self._owed: set[str] = set()  # names that get an answer even if nothing changed
        self._answer_due = False  # a wildcard gets a response even if there is nothing [48, 50]
        self._idle_at: Named | None = None

    def pending(self, snapshot: Snapshot) -> bool:
        """Whether the client lacks something of this snapshot that it has not refused."""
        return self._plan(snapshot) is not None

    def push(self, snapshot: Snapshot, now: float) -> Push | None:
        """The next response; None while one is in flight [63], or where the client has all it wants."""
        if self.in_flight is not None or (told := self._plan(snapshot)) is None:
            return None
        target = snapshot.of(self._type_url)
        resources, removed = self._contents(told, target)
        version = snapshot.version(self._type_url)
        push = Push(self._type_url, version, next(self._nonces), resources, removed, lifetimes=self._lifetimes)
        self.in_flight = self.last_flight = Flight(push, told, target, now)
        self.sent_version = version
        self.beat_at = self._next_beat(now)
        self._beat_nonce = ""
        self._held.pushed()
        self._owed.clear()
        self._answer_due = False
        return push

    def heartbeat(self, now: float) -> Push | None:
        """Confirms what has a lifetime, when it is time to [66]; no version and no verdict come of it [67].

        It waits for the verdict on a push, but not for one that is overdue: what it confirms would end meanwhile.
        """
        next_beat = self._next_beat(now)
        if next_beat is None:
            self.beat_at = None
            return None
        if now < max(self.beat_at or now, self.overdue_at):  # a client that came back is confirmed what it has at once
            return None
        self.beat_at = next_beat
        if not (confirmed := self._confirmed()):
            return None
        self._beat_nonce = next(self._nonces)
        version = self.in_flight.push.version if self.in_flight else self.acked_version
        return Push(self._type_url, version, self._beat_nonce, confirmed, lifetimes=True, heartbeat=True)

    @property
    def overdue_at(self) -> float:
        """Until when others wait for the verdict on the push in flight; 0.0 where there is none."""
        return 0.0 if self.in_flight is None else self.in_flight.sent_at + PATIENCE

    def changed(self) -> tuple[str, ...]:
        """The resources that are new or different in the push in flight."""
        return () if self.in_flight is None else _present(self.in_flight.told)

    @property
    def named(self) -> int:
        """How many resources the client names."""
        return len(self._names)

    def has(self, name: str) -> bool:
        """Whether the client has a resource of this name that it wants."""
        return self._wants(name) and self._held.version(name) is not None

    def runs(self, named: Evolving[Resource]) -> bool:
        """Whether the client has these or what came of them, and refuses none."""
        held = self._held
        return not held.refused and isinstance(held.base, Evolving) and held.base.follows(named)

    def owes(self, name: str) -> bool:
        """Whether this name gets an answer even if nothing changed."""
        return name in self._owed

    def state(self, item: Resource) -> ResourceState | None:
        """How the client stands to this resource; None where it does not want it."""
        if not self._wants(item.name):
            return None
        if self._held.refused.get(item.name) == item.version:
            return ResourceState.REFUSED
        held = self._held.version(item.name)
        if held == item.version:
            return ResourceState.SYNCED
        was_sent = self.in_flight is not None and item.name in self.in_flight.told
        return ResourceState.STALE if was_sent or held is not None else ResourceState.NOT_SENT

    @abstractmethod
    def part(self, now: float) -> float | None:
        """Lets the client be told of what it came back with and is not served any more, or says when to ask again."""

    @abstractmethod
    def parents_pushed(self, names: Collection[str]) -> None:
        """Clusters or listeners were pushed: the client may need its endpoints or routes once more [57, 58]."""

    @abstractmethod
    def _contents(self, told: Versions, target: Named) -> Contents: ...

    @property
    def _target(self) -> Named:
        """What the client is at, as far as is known."""
        return self._held.base if self.in_flight is None else self.in_flight.target

    def _confirmed(self) -> tuple[Resource, ...]:
        """What has a lifetime, in the versions that the client has, without content."""
        living = heartbeats(self._target)
        told = {} if self.in_flight is None else self.in_flight.told
        found = ((item, told.get(item.name, self._held.version(item.name))) for item in living)
        return tuple(
            item if version == item.version else replace(item, version=version)
            for item, version in found
            if version is not None and self._wants(item.name)
        )

    def _next_beat(self, now: float) -> float | None:
        if not self._lifetimes:
            return None
        living = heartbeats(self._target)
        return min((now + item.ttl / BEATS_A_LIFE for item in living if item.ttl is not None), default=None)

    def _difference(self, target: Named) -> Versions:
        """What to tell the client: changed and gone resources, those it is owed, and refused ones along with them.

        A NACK may have left the client with a part of the push, so what was refused is told again with the next change.
        """
        changes = self._held.changes(target)
        special = self._held.singled_out | self._owed
        if not special:
            return changes if self._wildcard else self._of_interest(changes)
        names = {name for name in (*self._of_interest(changes), *special) if self._wants(name)}
        told = {name: _version(target, name) for name in sorted(names)}
        forced = self._owed | self._held.refused.keys()
        return {
            name: version for name, version in told.items() if name in forced or version != self._held.version(name)
        }

    def _of_interest(self, changes: Versions) -> Versions:
        if self._wildcard:
            return changes
        if len(self._names) < len(changes):
            return {name: changes[name] for name in sorted(self._names) if name in changes}
        return {name: version for name, version in changes.items() if name in self._names}

    def _plan(self, snapshot: Snapshot) -> Versions | None:
        target = snapshot.of(self._type_url)
        if self._idle_at is target or (self._type_url in BESIDE_TYPES and self._type_url not in snapshot.resources):
            return None
        told = self._difference(target)
        if self._answer_due or any(self._is_news(name, version) for name, version in told.items()):
            return told
        if self.in_flight is None:
            self._held.moved_on(target, told)
            self._idle_at = target
        return None

    def _is_news(self, name: str, version: str | None) -> bool:
        refused = self._held.refused
        return name in self._owed or name not in refused or refused[name] != version

    def _verdict(self, nonce: str, error: str | None, now: float) -> Verdict | None:
        """A NACK is told by its error alone [15]; a nonce that is not in flight says nothing [19, 21].

        The answer to a heartbeat that followed the push answers the push too: clients answer the last of what they got.
        """
        self._idle_at = None
        flight = self.in_flight
        if flight is None or not nonce or nonce not in (flight.push.nonce, self._beat_nonce):
            return None
        self.in_flight = None
        seconds = now - flight.sent_at
        if error is None:
            self.acked_version = flight.push.version
            self.nack = None
            self._held.accepted(flight.told, flight.target)
            return Ack(flight.push, seconds)
        self._held.refuses(flight.told)
        self.nack = verdict = Nack(flight.push, seconds, error, _present(flight.told))
        if not self._wildcard and self._held.keep_only(self._wants):
            self._refused_less()
        return verdict

    def _wants(self, name: str) -> bool:
        return self._wildcard or name in self._names

    def _want(self, names: AbstractSet[str], *, wildcard: bool) -> None:
        """Sets the interest; what is no longer wanted is forgotten without a word [27, 35]."""
        if wildcard == self._wildcard and names == self._names:
            return
        if wildcard and not self._wildcard:
            self._answer_due = True
            self._held.lacks_all_but(self._names)
        elif not wildcard:
            self._answer_due = False
            self._held.lacks(names - self._names if not self._wildcard else ())
        self._names = _shared(frozenset(names))
        self._wildcard = wildcard
        self._owed = {name for name in self._owed if self._wants(name)}
        if self._held.keep_only(self._wants):
            self._refused_less()

    def _refused_less(self) -> None:
        """What is left of a refused push may be good by itself: it is another push."""
        self._owed |= self._held.refused.keys()
        if not self._held.refused:
            self.nack = None


class SotwSubscription(Subscription):
    """State of the world: a request names everything that is wanted."""

    def __init__(self, type_url: str, nonces: Iterator[str], *, lifetimes: bool = False) -> None:
        super().__init__(type_url, nonces, lifetimes=lifetimes)
        self._last_nonce = ""
        self._claimed_version = ""
        self._warming: frozenset[str] = frozenset()  # changed parents whose children were not asked for again yet
        self._asked = False  # they were, by a request that was stale

    def receive(self, request: SotwRequest, now: float) -> Verdict | None:
        """Takes a request; the verdict on the push in flight, where the request carries one.

        A stale request is dropped whole: the ACK that is on its way carries the client's latest names [19, 23]. That
        one asks for nothing, so a question in the stale request is answered along with it [57, 58].
        """
        verdict = self._verdict(request.nonce, request.error, now)
        current = self.in_flight is None and request.nonce in ("", self._last_nonce)
        if verdict is not None or current or not self._started:
            answers_beat = bool(request.nonce) and request.nonce == self._beat_nonce
            self._beat_nonce = "" if answers_beat else self._beat_nonce
            self._change_interest(request, is_question=verdict is None and not answers_beat)
            self._started = True
        else:
            self._asked = bool(self._warming)
        return verdict

    def push(self, snapshot: Snapshot, now: float) -> Push | None:
        push = self._remembered(super().push(snapshot, now))
        if push is not None and not self._full_state:
            self._held.keep_refused(snapshot.of(self._type_url).__contains__)  # the absence of others was news once
        return push

    def heartbeat(self, now: float) -> Push | None:
        return self._remembered(super().heartbeat(now))

    def part(self, _now: float) -> float | None:
        """What it came back with is not known: it stated one version of all."""
        return None

    def parents_pushed(self, names: Collection[str]) -> None:
        """Envoy asks again for what warms, with the names and the nonce that it used before."""
        self._warming |= frozenset(names)

    def _remembered(self, push: Push | None) -> Push | None:
        if push is not None:
            self._last_nonce = push.nonce
        return push

    def _confirmed(self) -> tuple[Resource, ...]:
        """With their content, all of the type where absence deletes.

        Envoy (1.40) takes a heartbeat without content for an absence, and ends what only such confirmed. What
        was refused is not repeated; whoever refuses gets another content soon, or what it had.
        """
        target = self._target
        if self._held.refused:
            return ()
        return self._contents(dict.fromkeys((item.name for item in super()._confirmed()), ""), target)[0]

    def _change_interest(self, request: SotwRequest, *, is_question: bool) -> None:
        names = frozenset(request.names) - {WILDCARD}
        wildcard = WILDCARD in request.names or (not request.names and self._full_state and not self._named)
        self._named = self._named or bool(request.names)
        if not self._started and wildcard and not names:
            self._claimed_version = request.version
        added = names - self._names
        self._want(names, wildcard=wildcard)
        self._owed |= added  # a newly named resource is sent even if it was sent before [26]
        if (is_question or self._asked) and self._started and self._warming:
            self._owed |= (names & self._warming) or names  # endpoints have their cluster's name, routes their own
            self._warming = frozenset()
            self._asked = False

    def _plan(self, snapshot: Snapshot) -> Versions | None:
        if self._claimed_version:
            self._resume(snapshot)
        told = super()._plan(snapshot)
        if told is None or self._full_state:
            return told
        if present := {name: version for name, version in told.items() if version is not None}:
            return present
        if self._held.keep_refused(lambda name: name not in told):  # absence is told to nobody, refused by nobody [51]
            self._refused_less()
        return super()._plan(snapshot)

    def _is_news(self, name: str, version: str | None) -> bool:
        if version is None and not self._full_state:
            return self._held.refused.get(name) is not None  # what it was refused with may be good now
        return super()._is_news(name, version)

    def _resume(self, snapshot: Snapshot) -> None:
        """A client that comes back with the very version of a whole type lacks nothing of it [22]."""
        if self._claimed_version == snapshot.version(self._type_url):
            self._held.has_all(snapshot.of(self._type_url))
            self.sent_version = self.acked_version = self._claimed_version
            self._answer_due = False
        self._claimed_version = ""

    def _contents(self, told: Versions, target: Named) -> Contents:
        if not self._full_state:
            return contents_of(told, target)
        if self._wildcard:
            return everything(target), ()
        return tuple(target[name] for name in sorted(self._names) if name in target), ()


class DeltaSubscription(Subscription):
    """Incremental: a request names what is new in the interest and what is no longer in it."""

    def __init__(self, type_url: str, nonces: Iterator[str], *, lifetimes: bool = False) -> None:
        super().__init__(type_url, nonces, lifetimes=lifetimes)
        self._left = Left()

    def receive(self, request: DeltaRequest, now: float) -> Verdict | None:
        """Takes a request; its names count even if its nonce is stale [20]."""
        verdict = self._verdict(request.nonce, request.error, now)
        if not self._started and self._type_url in REFERRED_TYPES:
            self._left.begin(request.initial_versions, now)
        self._change_interest(request)
        self._started = True
        return verdict

    def part(self, now: float) -> float | None:
        if self._left.end(self._held, self._wants, now):
            self._idle_at = None
        return self._left.until

    def parents_pushed(self, names: Collection[str]) -> None:
        """Envoy does not ask again (1.40): a changed cluster would warm until its initial_fetch_timeout, 15 seconds.

        Nor does it ask for the virtual hosts of a table that it had forgotten: those that are on the way are lost, and
        so are those that it says it has.
        """
        if self._type_url == VIRTUAL_HOST_TYPE:
            known = {*self._target, *self._held.singled_out}
            self._owed.update(name for name in known if name.rpartition("/")[0] in names)
        else:
            on_the_way = {} if self.in_flight is None else self.in_flight.told  # it has them before we know
            self._owed.update(name for name in names if self.has(name) or name in on_the_way)
        self._idle_at = None

    def _change_interest(self, request: DeltaRequest) -> None:
        subscribe, unsubscribe = frozenset(request.subscribe), frozenset(request.unsubscribe)
        first_versions = {} if self._started else dict(request.initial_versions)  # [47]
        legacy = not self._started and not subscribe and self._full_state
        wildcard = (self._wildcard or WILDCARD in subscribe or legacy) and WILDCARD not in unsubscribe
        left = unsubscribe & self._names
        named = subscribe - {WILDCARD}
        if named or left or wildcard != self._wildcard:
            self._want((self._names | named) - unsubscribe, wildcard=wildcard)

        self._held.has({name: version for name, version in first_versions.items() if self._wants(name)})
        if first_versions:
            self._answer_due = False  # it was initialised before: what it has needs no answer [46]
        self._owed |= named - unsubscribe - first_versions.keys()  # [29, 36]
        self._owed |= left if wildcard else frozenset()  # [34]
        self._left.forget(self._owed)

    def _difference(self, target: Named) -> Versions:
        return self._left.without(super()._difference(target), target)

    def _contents(self, told: Versions, target: Named) -> Contents:
        is_shared = told is self._held.changes(target)
        return shared_contents(told, target) if is_shared else contents_of(told, target)


def _version(named: Named, name: str) -> str | None:
    item = named.get(name)
    return None if item is None else item.version


def _present(told: Versions) -> tuple[str, ...]:
    return tuple(name for name, version in told.items() if version is not None)


# By content, as long as a stream has it: a client may name what it likes.
_SHARED: WeakKeyDictionary[frozenset[str], ReferenceType[frozenset[str]]] = WeakKeyDictionary()


def _shared(names: frozenset[str]) -> frozenset[str]:
    """One set for all streams that name the same."""
    found = _SHARED.get(names)
    known = None if found is None else found()
    if known is None:
        _SHARED[names] = ref(names)
    return known or names
