"""Stored identities on their way to the services: beside every configuration, at once, measured."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import grpc
import pytest
import structlog
from prometheus_client import CollectorRegistry

from control_plane.evolving import Evolving
from control_plane.feedback.rpc import feedback_rpc
from control_plane.keys.distribution import Distribution
from control_plane.server.ads import Ads
from control_plane.server.transport import xds_server
from control_plane.server.types import SERVICES
from control_plane.snapshot import EMPTY, Release, Resource, Snapshot, resource, snapshot
from service_kit import policy_database, subscription
from service_kit.clock import SystemClock
from service_kit.contract import API_KEY_TYPE, AUTHZ_POLICY_TYPE, CONSUMER_TYPE, IDENTITY_TYPES
from service_kit.credentials import certificates as followed
from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from service_kit.feedback import MOST_USES, Feedback
from service_kit.policy_database import PolicyDatabase
from service_kit.subscription import PolicyRejected, PolicySubscription
from tests.support.certificates import Authority, issued
from tests.support.eventually import eventually
from tests.support.fake_envoy import fake_envoy
from tests.support.xds import control_plane, publisher
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

BAD = b"bad"
COUNT = "tollgate_identity_change_seconds_count"


def key_with(value: bytes) -> bytes:
    """A stored key as it travels."""
    return policy_pb.ApiKey(hash=value).SerializeToString()


def hash_of(body: bytes) -> bytes:
    return policy_pb.ApiKey.FromString(body).hash


class Recorder:
    """A consumer that holds what it took, and refuses `BAD`."""

    def __init__(self, awaits: Collection[str] = IDENTITY_TYPES) -> None:
        self.held: dict[str, dict[str, bytes]] = {}
        self.awaits = awaits

    def apply(self, type_url, changed, removed) -> None:
        read = {name: hash_of(body) if type_url == API_KEY_TYPE else body for name, body in changed.items()}
        if BAD in read.values():
            raise PolicyRejected("this key is bad")
        named = self.held.setdefault(type_url, {})
        named.update(read)
        for name in removed:
            named.pop(name, None)

    @property
    def keys(self) -> dict[str, bytes]:
        return self.held.get(API_KEY_TYPE, {})


@dataclass
class Service:
    subscription: PolicySubscription
    consumer: Recorder
    registry: CollectorRegistry


@asynccontextmanager
async def service(
    at: UnixEndpoint, folder: Path, name: str = "authz", *, awaits: Collection[str] = IDENTITY_TYPES
) -> AsyncIterator[Service]:
    consumer, registry = Recorder(awaits), CollectorRegistry()
    following = PolicySubscription(
        control_plane=at, tls=None, node_id=name, types=(AUTHZ_POLICY_TYPE, *IDENTITY_TYPES), consumer=consumer,
        cache=folder / f"{name}.policies", log=structlog.get_logger(), clock=SystemClock(), registry=registry,
    )  # fmt: skip
    task = asyncio.create_task(following.run())
    try:
        yield Service(following, consumer, registry)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Stored:
    """What is stored, as `Identities` tells it."""

    def __init__(self, ads: Ads) -> None:
        self.registry = CollectorRegistry()
        self.distribution = Distribution(ads, SystemClock(), self.registry)
        self._named = {CONSUMER_TYPE: Evolving.of({}), API_KEY_TYPE: Evolving.of({})}

    def tell(self, changed: Mapping[str, bytes], *removed: str) -> None:
        """Keys by name, each with its hash."""
        keys = {name: resource(API_KEY_TYPE, name, key_with(value)) for name, value in changed.items()}
        self._named[API_KEY_TYPE] = self._named[API_KEY_TYPE].changed(keys, removed)
        self.distribution.tell(Snapshot(MappingProxyType(dict(self._named))))

    def counted(self, change: str) -> float | None:
        return self.registry.get_sample_value(COUNT, {"change": change})


@asynccontextmanager
async def measuring(stored: Stored) -> AsyncIterator[None]:
    task = asyncio.create_task(stored.distribution.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def policy(body: bytes = b"1") -> Resource:
    return resource(AUTHZ_POLICY_TYPE, "default", body)


async def test_three_services_are_told_of_a_revocation_and_it_is_measured(tmp_path: Path) -> None:
    async with control_plane() as xds, AsyncExitStack() as stack:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        stored = Stored(xds.ads)
        stored.tell({"a": b"1", "b": b"2"})
        services = [
            await stack.enter_async_context(service(xds.endpoint, tmp_path, name)) for name in ("s1", "s2", "s3")
        ]
        await stack.enter_async_context(measuring(stored))
        for found in services:
            await asyncio.wait_for(found.subscription.ready.wait(), 10)

        stored.tell({"c": b"3"})
        told = await stored.distribution.arrived()
        assert (told.services, told.waiting) == (3, ())
        stored.tell({}, "a")
        await stored.distribution.arrived()

        assert [found.consumer.keys for found in services] == [{"b": b"2", "c": b"3"}] * 3
        await eventually(lambda: (stored.counted("added"), stored.counted("removed")) == (1, 1))
        assert stored.registry.get_sample_value("tollgate_identities", {"kind": "keys"}) == 2
        assert stored.registry.get_sample_value("tollgate_identity_services_waiting") == 0


async def test_a_service_that_does_not_answer_is_named_and_measured_when_it_does(tmp_path: Path) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, cluster=SERVICES.cluster, node="slow") as slow:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        stored = Stored(xds.ads)
        stored.tell({"a": b"1"})
        async with measuring(stored):
            await slow.subscribe(API_KEY_TYPE, "*")
            await slow.take()
            stored.tell({}, "a")
            late = await slow.next()
            told = await stored.distribution.arrived()
            assert (told.services, told.waiting) == (0, ("slow",))
            assert stored.registry.get_sample_value("tollgate_identity_services_waiting") == 1
            assert stored.counted("removed") == 0

            await slow.ack(late)
            await eventually(lambda: stored.counted("removed") == 1)
            assert (await stored.distribution.arrived()).waiting == ()


async def test_nothing_is_said_of_identities_before_they_were_read(tmp_path: Path) -> None:
    """That there are none would make every key useless while the database is away."""
    async with control_plane() as xds, service(xds.endpoint, tmp_path) as found:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        await eventually(lambda: AUTHZ_POLICY_TYPE in found.consumer.held)
        await eventually(lambda: xds.ads.converged(SERVICES.cluster))
        assert not found.subscription.ready.is_set()

        Stored(xds.ads).tell({})
        await asyncio.wait_for(found.subscription.ready.wait(), 10)
        assert found.consumer.held[API_KEY_TYPE] == {}


async def test_who_needs_no_identities_does_not_wait_for_them(tmp_path: Path) -> None:
    """A database that cannot be read costs nobody anything but those who are in it."""
    async with control_plane() as xds, service(xds.endpoint, tmp_path, awaits=()) as found:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))

        await asyncio.wait_for(found.subscription.ready.wait(), 10)
        assert found.consumer.held.keys() == {AUTHZ_POLICY_TYPE}


async def test_a_service_starts_from_its_cache_and_forgets_what_was_revoked_meanwhile(tmp_path: Path) -> None:
    at = UnixEndpoint(tmp_path / "x.sock")
    async with control_plane(at) as xds, service(at, tmp_path) as found:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        stored = Stored(xds.ads)
        stored.tell({"a": b"1", "b": b"2"})
        stored.tell({"c": b"3"}, "b")
        await eventually(lambda: found.consumer.keys == {"a": b"1", "c": b"3"})
        await stored.distribution.arrived()
        kept = PolicyDatabase(tmp_path / "authz.resources").load()  # before the ACK
        assert kept[API_KEY_TYPE].keys() == {"a", "c"}

    async with service(at, tmp_path) as found:
        await asyncio.wait_for(found.subscription.ready.wait(), 10)
        assert found.consumer.keys == {"a": b"1", "c": b"3"}
        async with control_plane(at) as xds:
            xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
            Stored(xds.ads).tell({"c": b"3", "d": b"4"})
            await eventually(lambda: found.consumer.keys == {"c": b"3", "d": b"4"})


async def test_a_refused_key_is_no_verdict_on_a_configuration(tmp_path: Path) -> None:
    async with control_plane() as xds, publisher(xds.ads) as publishing, service(xds.endpoint, tmp_path) as found:
        stored = Stored(xds.ads)
        stored.tell({"a": b"1"})
        publishing.publish(Release(EMPTY, snapshot([policy()])))
        await eventually(lambda: found.consumer.keys == {"a": b"1"})
        stored.tell({"b": BAD})
        await eventually(lambda: _refusal(xds.ads) == "this key is bad")

        publishing.publish(Release(EMPTY, snapshot([policy(b"2")])))
        await asyncio.wait_for(publishing.published(), 5)
        await eventually(lambda: found.consumer.held[AUTHZ_POLICY_TYPE] == {"default": b"2"})
        assert all(verdict.accepts for verdict in xds.ads.verdicts(SERVICES.cluster))
        await eventually(lambda: xds.ads.converged(SERVICES.cluster))
        assert _in_sync(xds.ads) == [False], "it is shown"
        assert xds.registry.get_sample_value("tollgate_xds_nacks_total", {"type": "ApiKey"}) == 1

        stored.tell({}, "b")
        await eventually(lambda: _in_sync(xds.ads) == [True])
        stored.tell({"c": b"3"})
        assert (await stored.distribution.arrived()).waiting == ()
        assert found.consumer.keys == {"a": b"1", "c": b"3"}


async def test_what_a_refused_change_names_is_not_there_after_a_restart(tmp_path: Path) -> None:
    """One answer may hold a key of another version, which is refused, and say that another one is revoked."""
    at = UnixEndpoint(tmp_path / "x.sock")
    async with control_plane(at) as xds, service(at, tmp_path) as found:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        stored = Stored(xds.ads)
        stored.tell({"a": b"1", "b": b"2", "c": b"3"})
        await eventually(lambda: found.consumer.keys.keys() == {"a", "b", "c"})
        await stored.distribution.arrived()
        stored.tell({"b": BAD}, "a")
        await eventually(lambda: _refusal(xds.ads) == "this key is bad")

    async with service(at, tmp_path) as found:
        await asyncio.wait_for(found.subscription.ready.wait(), 10)
        assert found.consumer.keys == {"c": b"3"}


async def test_what_could_not_be_written_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "WRITE_AGAIN", 0.05)
    monkeypatch.setattr(policy_database, "LONGEST_WAIT", 0.0)
    at, cache = UnixEndpoint(tmp_path / "x.sock"), tmp_path / "authz.resources"
    async with control_plane(at) as xds, service(at, tmp_path) as found:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        stored = Stored(xds.ads)
        stored.tell({"a": b"1", "b": b"2"})
        await eventually(lambda: found.consumer.keys == {"a": b"1", "b": b"2"})
        await stored.distribution.arrived()
        with sqlite3.connect(cache, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            stored.tell({}, "a")
            await eventually(lambda: found.registry.get_sample_value("tollgate_policy_unwritten") == 1)
            other.execute("ROLLBACK")
        other.close()
        await eventually(lambda: found.registry.get_sample_value("tollgate_policy_unwritten") == 0)

    assert PolicyDatabase(cache).load()[API_KEY_TYPE].keys() == {"b"}


async def test_a_write_that_has_begun_is_waited_for_where_the_stream_is_left(tmp_path: Path) -> None:
    at, cache = UnixEndpoint(tmp_path / "x.sock"), tmp_path / "authz.resources"
    async with control_plane(at) as xds:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        stored = Stored(xds.ads)
        stored.tell({"a": b"1", "b": b"2"})
        with sqlite3.connect(cache, isolation_level=None, check_same_thread=False) as other:
            async with service(at, tmp_path) as found:
                await eventually(lambda: found.consumer.keys == {"a": b"1", "b": b"2"})
                await stored.distribution.arrived()
                other.execute("BEGIN EXCLUSIVE")
                stored.tell({}, "a")
                await eventually(lambda: found.consumer.keys == {"b": b"2"})
                asyncio.get_running_loop().call_later(0.2, other.execute, "ROLLBACK")
        other.close()

    assert PolicyDatabase(cache).load()[API_KEY_TYPE].keys() == {"b"}


def _in_sync(ads: Ads) -> list[bool]:
    return [status.converged for status in ads.statuses()]


def _refusal(ads: Ads) -> str:
    refusals = [held.refusal for status in ads.statuses() for held in status.types.values() if held.refusal]
    return refusals[0].message if refusals else ""


async def test_a_key_waits_for_no_verdict_on_a_policy(tmp_path: Path) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, cluster=SERVICES.cluster) as busy:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([policy()]))
        stored = Stored(xds.ads)
        stored.tell({"a": b"1"})
        await busy.subscribe(AUTHZ_POLICY_TYPE, "*")
        await busy.next()  # and it has not answered
        await busy.subscribe(API_KEY_TYPE, "*")
        assert (await busy.take()).type_url == API_KEY_TYPE

        stored.tell({}, "a")
        assert list((await busy.take()).removed_resources) == ["a"]


async def test_an_envoy_is_told_of_no_key() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint) as envoy:
        xds.ads.set_snapshot("tollgate-envoy", snapshot([]))
        Stored(xds.ads).tell({"a": b"1"})
        await envoy.subscribe(API_KEY_TYPE, "*")

        await envoy.quiet()


@pytest.mark.parametrize(
    ("name", "taken"), [("service.tollgate", True), ("envoy.tollgate", False), ("admin.tollgate", False)]
)
async def test_feedback_is_taken_from_services_alone(tmp_path: Path, name: str, taken: bool) -> None:
    uses, registry, log, authority = {}, CollectorRegistry(), structlog.get_logger(), Authority()
    own = followed(issued(authority, tmp_path / "own", "control-plane.tollgate"), log, registry)
    ads = Ads(clock=SystemClock(), log=log, registry=registry)
    server = xds_server(ads, TcpEndpoint("localhost", 0), own, feedback=feedback_rpc(uses.update))
    await server.start()
    theirs = followed(issued(authority, tmp_path / "theirs", name), log, CollectorRegistry())
    feedback = Feedback(TcpEndpoint("localhost", server.port), theirs)
    if taken:
        await feedback.keys_used({"abcdefghijkl": 7})
    else:
        with pytest.raises(grpc.aio.AioRpcError, match="PERMISSION_DENIED"):
            await feedback.keys_used({"abcdefghijkl": 7})
    await server.stop()

    assert bool(uses) == taken


async def test_more_keys_than_one_call_may_name_are_told_in_several(tmp_path: Path) -> None:
    uses, calls = {}, []

    def used(times: Mapping[str, float]) -> None:
        calls.append(len(times))
        uses.update(times)

    at = UnixEndpoint(tmp_path / "x.sock")
    ads = Ads(clock=SystemClock(), log=structlog.get_logger(), registry=CollectorRegistry())
    server = xds_server(ads, at, None, feedback=feedback_rpc(used))
    await server.start()
    await Feedback(at, None).keys_used({f"{number:012}": number for number in range(MOST_USES + 1)})
    await server.stop()

    assert calls == [MOST_USES, 1]
    assert len(uses) == MOST_USES + 1


async def test_feedback_reaches_who_keeps_it(tmp_path: Path) -> None:
    uses, asked = {}, []

    async def refresh(issuer: str) -> bool:
        asked.append(issuer)
        return True

    at = UnixEndpoint(tmp_path / "x.sock")
    ads = Ads(clock=SystemClock(), log=structlog.get_logger(), registry=CollectorRegistry())
    server = xds_server(ads, at, None, feedback=feedback_rpc(uses.update, refresh))
    await server.start()
    feedback = Feedback(at, None)
    await feedback.keys_used({"abcdefghijkl": 7, "not an id": 8})
    refreshed = await feedback.refresh_key_set("https://issuer.example.com")
    await server.stop()

    assert (uses, refreshed, asked) == ({"abcdefghijkl": 7.0}, True, ["https://issuer.example.com"])
