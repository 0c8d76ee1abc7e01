"""What a caller sees while the store is killed, frozen, full or slow, by what its rule says (docs/store.md)."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
import structlog
from envoy.service.ratelimit.v3 import rls_pb2
from prometheus_client import CollectorRegistry

from ratelimit_service.main import limit_service
from ratelimit_service.server import METHOD
from ratelimit_service.store import redis_store
from ratelimit_service.store_watch import StoreMetrics
from service_kit.contract import LIMIT_SET_TYPE
from service_kit.serve import Service
from tests.support.eventually import eventually
from tests.support.limits import REPORT, SUBJECT, asked, call, done, identified, limit, limit_set, metering, quota
from tests.support.slow_proxy import SlowProxy, slow_proxy
from tests.support.steps import PATIENT
from tests.support.valkey import StoreServer, valkey_server
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

PASSES, REFUSED, AWAY = "passes", "refused", "away"
FAILING = {
    "deny": policy_pb.STORE_FAILURE_DENY,
    "local": policy_pb.STORE_FAILURE_LOCAL,
    "allow": policy_pb.STORE_FAILURE_ALLOW,
}
POLICIES = {
    **{f"route/{name}": limit_set(limit(3, 3600, SUBJECT, on_store_failure=what)) for name, what in FAILING.items()},
    "route/report": limit_set(limit(3, 3600, SUBJECT, mode=REPORT)),
    "route/open": limit_set(),
    "route/chat": limit_set(quota("tokens", 1000, SUBJECT), metering=metering()),
}
# Five calls of a caller who may make three.
WITHOUT_STORE = {
    "deny": [AWAY] * 5,
    "local": [PASSES] * 3 + [REFUSED] * 2,
    "allow": [PASSES] * 5,
    "report": [PASSES] * 5,
    "open": [PASSES] * 5,
}


@dataclass
class Running:
    """A limiter, its store, and a proxy between them."""

    service: Service
    store: StoreServer
    proxy: SlowProxy
    channel: grpc.aio.Channel
    log: structlog.testing.LogCapture

    async def sees(self, *descriptors):
        """What becomes of a call."""
        try:
            raw = await self.channel.unary_unary(METHOD)(call(*descriptors))
        except grpc.aio.AioRpcError as error:
            return AWAY if error.code() is grpc.StatusCode.UNAVAILABLE else str(error)
        code = rls_pb2.RateLimitResponse.FromString(raw).overall_code
        return PASSES if code == rls_pb2.RateLimitResponse.OK else REFUSED

    async def passes(self, *descriptors):
        return await self.sees(*descriptors) == PASSES

    def metric(self, name, **labels):
        return self.service.registry.get_sample_value(f"tollgate_ratelimit_{name}", labels)

    def events(self):
        return [line["event"] for line in self.log.entries]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with valkey_server(tmp_path_factory.mktemp("store")) as store:
        yield store


@asynccontextmanager
async def serving(store, directory):
    """The service as its main module wires it; the subscription is played by the test."""
    registry, log = CollectorRegistry(), structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[log])
    async with slow_proxy(store.address.removeprefix("unix:")) as proxy:
        reached = redis_store(f"redis://127.0.0.1:{proxy.port}", PATIENT, watch=StoreMetrics(registry, logger))
        service = limit_service(reached, registry, logger, directory)
        service.consumer.apply(LIMIT_SET_TYPE, POLICIES, ())
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((service.rpc,))
        server.add_insecure_port(f"unix:{directory}/limits.sock")
        await server.start()
        async with grpc.aio.insecure_channel(f"unix:{directory}/limits.sock") as channel:
            yield Running(service, store, proxy, channel, log)
        await server.stop(None)
        await service.close()


@pytest.fixture
async def running(shared, tmp_path):
    if not shared.runs:
        shared.start()
    shared.thaw()
    shared.command("CONFIG", "SET", "maxmemory", 0)
    shared.command("FLUSHALL")
    async with serving(shared, tmp_path) as service:
        yield service


def kill(running):
    running.store.kill()


def freeze(running):
    running.store.freeze()


def fill(running):
    running.store.command("CONFIG", "SET", "maxmemory", 1)


def slow_down(running):
    running.proxy.delay = 2.0


def start(running):
    running.store.start()


def thaw(running):
    running.store.thaw()


def empty(running):
    running.store.command("CONFIG", "SET", "maxmemory", 0)


def speed_up(running):
    running.proxy.delay = 0


OUTAGES = {"killed": (kill, start), "frozen": (freeze, thaw), "full": (fill, empty), "slow": (slow_down, speed_up)}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_what_callers_see(running, outage):
    begin, end = OUTAGES[outage]
    assert await running.passes(identified(route="deny"))
    begin(running)

    seen = {route: [await running.sees(identified(route=route)) for _ in range(5)] for route in WITHOUT_STORE}

    assert seen == WITHOUT_STORE
    end(running)
    await eventually(lambda: running.passes(identified(route="deny", subject="probe")))
    assert await running.sees(identified(route="local", subject="bob")) == PASSES
    assert running.events() == ["store down", "store up"] or running.events() == ["store down"]


async def test_counts_of_before_are_there_afterwards(running):
    """And what was counted here meanwhile is not added to them."""
    first = [await running.sees(identified(route="local")) for _ in range(2)]
    running.store.kill()
    meanwhile = [await running.sees(identified(route="local")) for _ in range(4)]
    running.store.start()
    await eventually(lambda: running.passes(identified(route="deny")))

    after = [await running.sees(identified(route="local")) for _ in range(2)]

    assert first + meanwhile + after == [PASSES] * 2 + [PASSES] * 3 + [REFUSED] + [PASSES, REFUSED]


async def test_calls_are_answered_at_once_while_the_store_rests(running):
    running.store.freeze()
    for _ in range(4):
        await running.sees(identified(route="deny"))

    await asyncio.gather(*(running.sees(identified(route="deny")) for _ in range(200)))

    assert running.metric("store_state", server=f"127.0.0.1:{running.proxy.port}", state="up") == 0
    assert running.metric("store_errors_total", kind="timeout") <= 10
    assert running.metric("store_errors_total", kind="resting") >= 190


async def test_a_call_that_ends_while_the_store_is_away_is_settled_when_it_is_back(running):
    metered = {"route": "chat"}
    assert await running.sees(*asked("h1", output=900, **metered)) == PASSES
    assert await running.sees(*asked("h2", output=900, **metered)) == REFUSED
    running.store.kill()
    await running.sees(*done("h1", prompt=10, output=20, **metered))
    running.store.start()

    await eventually(lambda: running.metric("settlements_late_total", end="told") == 1)

    assert running.metric("settlements_waiting") == 0
    await eventually(lambda: running.passes(*asked("h3", output=900, **metered)))


async def test_a_hold_whose_answer_was_lost_is_given_back(running):
    """The store takes it when it wakes up; the caller was told 503 and is not charged."""
    metered = {"route": "chat"}
    assert await running.sees(*asked("h0", output=1, **metered)) == PASSES
    await running.sees(*done("h0", prompt=0, output=1, **metered))
    running.store.freeze()
    assert await running.sees(*asked("h1", output=900, **metered)) == AWAY
    running.store.thaw()

    await eventually(lambda: running.passes(*asked("h2", output=900, **metered)))


async def test_what_is_known_to_be_over_is_not_asked_again(running):
    for _ in range(4):
        await running.sees(identified(route="deny"))
    before = running.metric("store_round_trip_seconds_count")

    burst = await asyncio.gather(*(running.sees(identified(route="deny")) for _ in range(50)))

    assert set(burst) == {REFUSED}
    assert running.metric("store_round_trip_seconds_count") - before <= 2
    assert running.metric("remembered_total") >= 45
