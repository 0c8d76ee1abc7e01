"""Whatever is done, in whichever order, through whichever process: what is kept and told is what a plain dict says."""

import asyncio
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from control_plane.keys.entries import ConsumerChange, ConsumerSpec, KeySpec, StoredKey
from control_plane.keys.errors import BadEntry, Conflict, NotFound
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE
from tests.support.clock import StillClock
from tests.support.identities import DATABASES, identities, new_store
from tollgate_pb.tollgate.policy.v1.policy_pb2 import ApiKey, Consumer

NAMES = ("declared", "ann", "bob")
names = st.sampled_from(NAMES)
# What is refused is drawn seldom, so that most operations do something.
owners = st.sampled_from(("declared", "declared", "declared", "ann", "ann", "bob"))
plans = st.sampled_from((None, None, "free", "free", "pro", "none"))
numbers = st.integers(0, 7)
lives = st.sampled_from((None, None, 30, 30, 500, 1, -5))


@dataclass
class Model:
    """What should be there."""

    consumers: dict[str, ConsumerSpec]
    keys: dict[str, StoredKey]

    def live(self, now: int) -> dict[str, StoredKey]:
        return {key.id: key for key in self.keys.values() if key.state(now) == "active"}


class Machine(RuleBasedStateMachine):
    """Two processes on one store, which write in turns; the one that did not hears of it when it looks."""

    kind: str

    @initialize()
    def begin(self):
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.url = new_store(self.kind, Path(self.folder.name), self.server)
        self.clock = StillClock()
        self.model = Model({}, {})
        self.order: list[str] = []
        self.processes = [self.process(), self.process()]
        for life in (None, 30, 500):
            self.create_key(0, "declared", None, life, {"a"})
        self.create_consumer(0, "ann", None, None)
        self.create_key(1, "ann", "free", None, set())

    def process(self):
        made = identities(self.url, self.clock)
        self.runner.run(made.open())
        return made

    def teardown(self):
        if hasattr(self, "runner"):
            for process in self.processes:
                self.runner.run(process.close())
            self.runner.close()
            self.folder.cleanup()

    @property
    def now(self):
        return int(self.clock.now())

    def do(self, which, expected, work):
        """The outcome of the work; it fails where the model says that it must, and so."""
        writer = self.processes[which % 2]
        outcome = None
        with nullcontext() if expected is None else pytest.raises(expected):
            outcome = self.runner.run(work(writer))
        for process in self.processes:
            self.runner.run(process._follow())
        return outcome

    def chosen(self, number):
        return self.order[number % len(self.order)] if self.order else "0" * 12

    @rule(which=numbers, name=names, plan=plans, tenant=st.sampled_from((None, "acme")))
    def create_consumer(self, which, name, plan, tenant):
        spec = ConsumerSpec(name, tenant, plan)
        taken = name == "declared" or name in self.model.consumers
        error = Conflict if name == "declared" else BadEntry if plan == "none" else Conflict if taken else None
        self.do(which, error, lambda stored: stored.create_consumer(spec, by="ops"))
        if error is None:
            self.model.consumers[name] = spec

    @rule(which=numbers, name=names, plan=plans)
    def update_consumer(self, which, name, plan):
        spec, change = ConsumerSpec(name, None, plan), ConsumerChange("", plan or "")
        error = NotFound if name not in self.model.consumers else BadEntry if plan == "none" else None
        self.do(which, error, lambda stored: stored.update_consumer(name, change, by="ops"))
        if error is None:
            self.model.consumers[name] = spec

    @rule(which=numbers, name=names)
    def delete_consumer(self, which, name):
        error = None if name in self.model.consumers else NotFound
        gone = self.do(which, error, lambda stored: stored.delete_consumer(name, by="ops"))
        if error is None:
            del self.model.consumers[name]
            owned = [key for key in self.model.keys.values() if key.spec.consumer == name and key.revoked_at is None]
            assert gone == len(owned)
            for key in owned:
                self.model.keys[key.id] = replace(key, revoked_at=self.now, revoked_by="ops")

    @rule(which=numbers, name=owners, plan=plans, life=lives, scopes=st.sets(st.sampled_from("abc")))
    def create_key(self, which, name, plan, life, scopes):
        spec = KeySpec(name, tuple(sorted(scopes)), (), plan, (), None if life is None else self.now + life)
        exists = name == "declared" or name in self.model.consumers
        error = BadEntry if plan == "none" or (life or 0) < 0 else None if exists else NotFound
        self.keep(self.do(which, error, lambda stored: stored.create_key(spec, by="ops")), spec)

    @rule(which=numbers, number=numbers, overlap=st.sampled_from((0, 10, 400)))
    def rotate(self, which, number, overlap):
        old = self.model.keys.get(self.chosen(number))
        good = old is not None and old.rotated_to is None and old.state(self.now) == "active"
        error = NotFound if old is None else None if good else Conflict
        made = self.do(which, error, lambda stored: stored.rotate(self.chosen(number), overlap=overlap, by="ops"))
        if made is None:
            return
        life = old.spec.expires
        self.keep(made, replace(old.spec, expires=None if life is None else self.now + life - old.created_at))
        ends = self.now + overlap if life is None else min(life, self.now + overlap)
        self.model.keys[old.id] = replace(old, rotated_to=made.key.id, spec=replace(old.spec, expires=ends))

    @rule(which=numbers, number=numbers)
    def revoke(self, which, number):
        key = self.model.keys.get(self.chosen(number))
        error = NotFound if key is None else None
        self.do(which, error, lambda stored: stored.revoke(self.chosen(number), by="ops"))
        if key is not None and key.revoked_at is None:
            self.model.keys[key.id] = replace(key, revoked_at=self.now, revoked_by="ops")

    @rule(which=numbers, number=numbers, ago=st.integers(0, 50))
    def use(self, which, number, ago):
        key = self.model.keys.get(self.chosen(number))
        at = self.now - ago
        self.do(which, None, lambda stored: stored.used({self.chosen(number): at}))
        if key is not None:
            self.model.keys[key.id] = replace(key, last_used=max(key.last_used or 0, at))

    @rule(seconds=st.sampled_from((1, 29, 300)))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(which=numbers)
    def restart(self, which):
        self.runner.run(self.processes[which % 2].close())
        self.processes[which % 2] = self.process()

    def keep(self, made, spec):
        if made is not None:
            self.model.keys[made.key.id] = StoredKey(made.key.id, spec, self.now, "ops", None, None, None, None)
            self.order.append(made.key.id)

    @invariant()
    def what_is_kept_is_what_the_model_says(self):
        if not hasattr(self, "processes"):
            return
        for process in self.processes:
            kept = self.runner.run(process.keys(limit=1000))
            assert {key.id: key for key in kept} == self.model.keys
            consumers = self.runner.run(process.consumers(limit=1000))
            assert {one.name: ConsumerSpec(one.name, one.tenant, one.plan) for one in consumers} == self.model.consumers

    @invariant()
    def what_is_told_is_what_opens_something(self):
        if not hasattr(self, "processes"):
            return
        live = self.model.live(self.now)
        for process in self.processes:
            self.runner.run(process._follow())
            told = {name: ApiKey.FromString(item.body) for name, item in process.snapshot.of(API_KEY_TYPE).items()}
            assert {name: (key.consumer, key.expires, key.plan, tuple(key.scopes)) for name, key in told.items()} == {
                key.id: (key.spec.consumer, key.spec.expires or 0, key.spec.plan or "", key.spec.scopes)
                for key in live.values()
            }
            consumers = process.snapshot.of(CONSUMER_TYPE)
            assert {name: Consumer.FromString(item.body) for name, item in consumers.items()} == {
                spec.name: Consumer(name=spec.name, tenant=spec.tenant or "", plan=spec.plan or "")
                for spec in self.model.consumers.values()
            }
        versions = {process.snapshot.version(API_KEY_TYPE) for process in self.processes}
        assert len(versions) == 1, "equal contents have equal versions, whatever happened on the way"


BOUNDS = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("kind", DATABASES)
def test_any_order_of_operations(kind, request):
    machine = type(
        "Machine", (Machine,), {"kind": kind, "server": staticmethod(lambda: request.getfixturevalue("postgres"))}
    )

    run_state_machine_as_test(machine, settings=BOUNDS)
