"""Any client that follows the protocol ends with what it wants of the latest snapshot, whatever happened on the way.

The client here is written from the text of the protocol and knows nothing of the server's state: it subscribes, applies
what it takes, refuses what it does not like, answers late, and repeats answers that are stale. What it has in the end
is compared with the snapshot itself.
"""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control_plane.server.exchange import DeltaRequest, Push, SotwRequest
from control_plane.server.subscription import DeltaSubscription, SotwSubscription
from control_plane.snapshot import Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE

NAMES = ("a", "b", "c", "d")
WILDCARD = "*"
BAD = b"bad"  # a content that the client refuses

worlds = st.dictionaries(st.sampled_from(NAMES), st.sampled_from((b"1", b"2", b"3", BAD)))
name_sets = st.frozensets(st.sampled_from((*NAMES, WILDCARD)))
types = st.sampled_from((CLUSTER_TYPE, ENDPOINTS_TYPE))


def world(type_url: str, bodies: dict[str, bytes]) -> Snapshot:
    return snapshot(resource(type_url, name, body) for name, body in bodies.items())


@dataclass
class Client:
    """What a client wants and runs; `heard` are names that it was answered about since it asked for them."""

    type_url: str
    wanted: frozenset[str] = frozenset()
    legacy: bool = False
    runs: dict[str, bytes] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)

    @property
    def wildcard(self) -> bool:
        return self.legacy or WILDCARD in self.wanted

    @property
    def full_state(self) -> bool:
        return self.type_url == CLUSTER_TYPE

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.wanted

    def forget_unwanted(self) -> None:
        self.runs = {name: body for name, body in self.runs.items() if self.wants(name)}


class Machine(RuleBasedStateMachine):
    """A server side and a client side with a wire between: responses and requests wait there until they are taken."""

    sotw: bool

    def __init__(self) -> None:
        super().__init__()
        self.nonces = (str(number) for number in itertools.count(1))
        self.unread: list[Push] = []  # on their way to the client
        self.unsent: list[SotwRequest | DeltaRequest] = []  # on their way to the server
        self.answered: list[str] = []
        self.dropped: frozenset[str] = frozenset()
        self.seen: set[str] = set()
        self.last_version = ""
        self.last_nonce = ""
        self.started = False
        self.named = False

    @initialize(type_url=types, bodies=worlds)
    def begin(self, type_url: str, bodies: dict[str, bytes]) -> None:
        self.client = Client(type_url)
        self.held = world(type_url, bodies)
        kind = SotwSubscription if self.sotw else DeltaSubscription
        self.server = kind(type_url, self.nonces)

    @rule(bodies=worlds)
    def the_world_changes(self, bodies: dict[str, bytes]) -> None:
        self.held = world(self.client.type_url, bodies)

    @rule(bodies=worlds)
    def a_part_of_the_world_changes(self, bodies: dict[str, bytes]) -> None:
        found = {name: item.body for name, item in self.resources.items()}
        self.held = world(self.client.type_url, {**found, **bodies})

    @rule()
    def the_same_world_again(self) -> None:
        """Equal content in other mappings."""
        self.the_world_changes({name: item.body for name, item in self.resources.items()})

    @rule(names=name_sets)
    def the_client_wants(self, names: frozenset[str]) -> None:
        before = self.client.wanted
        if self.sotw:
            names = self.without_what_a_stale_request_dropped(names)
        legacy = not names and self.client.full_state and not self.named
        if self.sotw:
            self.named = self.named or bool(names)
            self.client.wanted, self.client.legacy = names, legacy
            self.unsent.append(SotwRequest(tuple(sorted(names)), self.last_version, self.last_nonce))
        else:
            first_legacy = not self.started and legacy
            self.client.legacy = self.client.legacy or first_legacy
            gone = before - names
            self.client.wanted = names
            self.client.legacy = self.client.legacy and WILDCARD not in gone
            self.unsent.append(DeltaRequest(tuple(sorted(names - before)), tuple(sorted(gone))))
            if self.client.wildcard:
                self.client.heard -= gone
        self.started = True
        self.client.heard -= names - before
        self.client.forget_unwanted()

    def without_what_a_stale_request_dropped(self, names: frozenset[str]) -> frozenset[str]:
        """A server that ignores stale requests cannot know of a name that was dropped in one and named in the ACK."""
        if not self.unsent and not self.unread:
            self.dropped = frozenset()
        names -= self.dropped
        self.dropped |= self.client.wanted - names
        return names

    @precondition(lambda self: not self.sotw and self.started)
    @rule(data=st.data())
    def the_client_asks_again_for_what_it_has(self, data: st.DataObject) -> None:
        names = sorted(self.client.wanted - {WILDCARD})
        if names:
            name = data.draw(st.sampled_from(names))
            self.client.heard.discard(name)
            self.unsent.append(DeltaRequest((name,)))

    @precondition(lambda self: self.unsent)
    @rule()
    def a_request_arrives(self) -> None:
        self.server.receive(self.unsent.pop(0), 0.0)

    @precondition(lambda self: self.started)
    @rule()
    def the_server_pushes(self) -> None:
        in_flight = self.server.in_flight
        push = self.server.push(self.held, 0.0)
        if push is not None:
            assert in_flight is None, "one push is on its way at a time"
            self.sent_well(push)
            self.unread.append(push)

    @precondition(lambda self: self.unread)
    @rule()
    def the_client_reads(self) -> None:
        push = self.unread.pop(0)
        self.dropped = frozenset()
        refused = any(item.body == BAD for item in push.resources if self.client.wants(item.name))
        error = "bad" if refused else None
        if not refused:
            self.apply(push)
            self.last_version = push.version
        self.last_nonce = push.nonce
        self.answered.append(push.nonce)
        if self.sotw:
            names = tuple(sorted(self.client.wanted))
            self.unsent.append(SotwRequest(names, self.last_version, push.nonce, error))
        else:
            self.unsent.append(DeltaRequest(nonce=push.nonce, error=error))

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def an_answer_is_repeated(self, data: st.DataObject) -> None:
        nonce = data.draw(st.sampled_from(self.answered))
        if self.sotw:
            self.unsent.append(SotwRequest(tuple(sorted(self.client.wanted)), self.last_version, nonce))
        else:
            self.unsent.append(DeltaRequest(nonce=nonce))

    @invariant()
    def at_most_one_push_is_on_its_way(self) -> None:
        assert len(self.unread) <= 1

    def teardown(self) -> None:
        """Everything arrives; then the world gets good, and everything arrives again."""
        if not self.started:
            return
        self.everything_arrives()
        if self.server.nack is None:
            self.has_converged()
        good = {name: b"9" if item.body == BAD else item.body for name, item in self.resources.items()}
        self.held = world(self.client.type_url, good)
        self.everything_arrives()
        self.has_converged()
        assert self.server.push(world(self.client.type_url, good), 0.0) is None, "equal content is no news"

    @property
    def resources(self) -> dict[str, object]:
        return dict(self.held.of(self.client.type_url))

    def everything_arrives(self) -> None:
        for _ in range(50):
            while self.unsent:
                self.a_request_arrives()
            self.the_server_pushes()
            if not self.unread:
                return
            self.the_client_reads()
        pytest.fail("the server goes on sending what was refused or taken")

    def has_converged(self) -> None:
        expected = {name: item.body for name, item in self.resources.items() if self.client.wants(name)}
        runs = self.client.runs
        if self.sotw and not self.client.full_state:  # absence tells nothing there
            runs = {name: body for name, body in runs.items() if name in expected}
        assert runs == expected
        assert self.server.in_flight is None
        assert self.server.nack is None
        assert not self.server.pending(self.held)
        if not self.sotw:
            assert self.client.wanted - {WILDCARD} <= self.client.heard, "each name is answered, if only as absent"

    def sent_well(self, push: Push) -> None:
        names = [item.name for item in push.resources]
        assert push.nonce
        assert push.nonce not in self.seen
        self.seen.add(push.nonce)
        assert len({*names, *push.removed}) == len(names) + len(push.removed), "no resource twice"
        assert all(self.resources[item.name] is item for item in push.resources), "of this snapshot, whole"
        assert push.version == self.held.version(self.client.type_url)
        assert not {*push.removed} & self.resources.keys()

    def apply(self, push: Push) -> None:
        sent = {item.name: item.body for item in push.resources if self.client.wants(item.name)}
        self.client.heard |= {*sent, *push.removed}
        if self.sotw and self.client.full_state:
            self.client.runs = sent
            return
        self.client.runs.update(sent)
        for name in push.removed:
            self.client.runs.pop(name, None)


class SotwMachine(Machine):
    sotw = True


class DeltaMachine(Machine):
    sotw = False


BOUNDS = settings(max_examples=150, stateful_step_count=30, deadline=None)

TestSotw = SotwMachine.TestCase
TestSotw.settings = BOUNDS
TestDelta = DeltaMachine.TestCase
TestDelta.settings = BOUNDS
