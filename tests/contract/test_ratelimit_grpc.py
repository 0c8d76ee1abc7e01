"""The service as Envoy meets it: gRPC on a Unix socket, with a real store behind."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
import structlog
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.wrappers_pb2 import UInt64Value
from prometheus_client import CollectorRegistry

from ratelimit_service.main import limit_service
from ratelimit_service.server import METHOD
from ratelimit_service.store import redis_store
from service_kit.contract import DESCRIPTOR_IP, LIMIT_SET_TYPE
from service_kit.serve import Service
from tests.support.eventually import eventually
from tests.support.limits import IP, SUBJECT, call, descriptor, identified, limit, limit_set
from tests.support.valkey import StoreServer, valkey_server

OK = rls_pb2.RateLimitResponse.OK
OVER_LIMIT = rls_pb2.RateLimitResponse.OVER_LIMIT
ADDRESS = descriptor((DESCRIPTOR_IP, "192.0.2.7/32"))
POLICIES = {
    "route/email": limit_set(limit(3, 60, SUBJECT, name="email:3/minute:subject")),
    "route/rag": limit_set(limit(2, 60, IP, name="rag:2/minute:ip")),
    "route/dear": limit_set(limit(10, 60, SUBJECT, name="dear:10/minute:subject")),
    "route/open": limit_set(),
    "plan/free": limit_set(limit(2, 3600, SUBJECT, name="free:2/hour:subject")),
}


@dataclass
class Running:
    """A served rate limiter and a client of it."""

    service: Service
    store: StoreServer
    channel: grpc.aio.Channel
    log: structlog.testing.LogCapture

    async def ask(self, *descriptors, domain="tollgate"):
        raw = await self.channel.unary_unary(METHOD)(call(*descriptors, domain=domain))
        return rls_pb2.RateLimitResponse.FromString(raw)

    async def refusal(self, *descriptors, domain="tollgate"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.ask(*descriptors, domain=domain)
        return error.value.code(), error.value.details()

    async def answers(self, *descriptors):
        try:
            return await self.ask(*descriptors)
        except grpc.aio.AioRpcError:
            return None

    def metric(self, name, **labels):
        return self.service.registry.get_sample_value(name, labels)


@asynccontextmanager
async def serving(server, counters, directory):
    """The service as its main module wires it; the subscription is played by the test."""
    log = structlog.testing.LogCapture()
    service = limit_service(counters, CollectorRegistry(), structlog.wrap_logger(None, processors=[log]))
    service.consumer.apply(LIMIT_SET_TYPE, POLICIES, ())
    grpc_server = grpc.aio.server()
    grpc_server.add_generic_rpc_handlers((service.rpc,))
    address = f"unix:{directory}/limits.sock"
    grpc_server.add_insecure_port(address)
    await grpc_server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        yield Running(service, server, channel, log)
    await grpc_server.stop(None)
    await service.close()


@pytest.fixture
async def running(tmp_path):
    with valkey_server(tmp_path) as store:
        async with serving(store, redis_store(store.address), tmp_path) as service:
            yield service


class FaultyCounters:
    """Counters with a fault of the program."""

    async def take(self, counters, hits):
        raise ZeroDivisionError

    async def close(self):
        pass


def headers(response):
    return {header.key: header.value for header in response.response_headers_to_add}


async def test_calls_pass_until_the_limit_and_are_then_told_when_to_retry(running):
    first = await running.ask(identified(), ADDRESS)
    burst = await asyncio.gather(*(running.ask(identified(), ADDRESS) for _ in range(9)))
    last = await running.ask(identified(), ADDRESS)

    assert headers(first)["ratelimit-remaining"] == "2"
    assert sorted(response.overall_code for response in burst) == [OK] * 2 + [OVER_LIMIT] * 7
    assert last.overall_code == OVER_LIMIT
    assert [status.code for status in last.statuses] == [OVER_LIMIT, OVER_LIMIT]
    seconds = int(headers(last)["retry-after"])
    assert 1 <= seconds <= 63
    assert headers(last)["ratelimit-policy"] == "3;w=60"
    assert MessageToDict(last.dynamic_metadata) == {
        "kind": "limit",
        "rule": "email:3/minute:subject",
        "remaining": 0,
        "message": "The limit of 3 requests per minute for this subject is used up: "
        f"retry in {seconds} s (rule email:3/minute:subject).",
    }


@pytest.mark.parametrize(("cost", "passes"), [(2, 5), (3, 3), (10, 1), (11, 0)])
async def test_a_call_takes_what_it_costs_or_nothing(running, cost, passes):
    hits = UInt64Value(value=cost)
    asked = [identified(route="dear", hits_addend=hits), descriptor((DESCRIPTOR_IP, "a"), hits_addend=hits)]

    burst = await asyncio.gather(*(running.ask(*asked) for _ in range(8)))
    last = await running.ask(*asked)
    cheap = await running.ask(identified(route="dear"), ADDRESS)

    assert [response.overall_code for response in burst].count(OK) == passes
    left = 10 - cost * passes
    assert headers(last)["ratelimit-remaining"] == str(left)
    assert f"has {left} left, and this call counts as {cost}: retry in" in last.dynamic_metadata["message"]
    assert cheap.overall_code == (OK if left else OVER_LIMIT)


async def test_a_plan_counts_on_every_route_of_its_callers(running):
    codes = [
        (await running.ask(identified(route=route, plan="free"), ADDRESS)).overall_code
        for route in ("email", "open", "rag")
    ]

    assert codes == [OK, OK, OVER_LIMIT]


async def test_a_route_without_limits_passes_without_the_store(running):
    running.store.kill()

    response = await running.ask(identified(route="open"))

    assert response.overall_code == OK
    assert headers(response) == {}


@pytest.mark.parametrize(
    ("descriptors", "code", "words"),
    [
        pytest.param([ADDRESS], "INVALID_ARGUMENT", "expected route", id="unreadable"),
        pytest.param([identified(route="rag")], "INVALID_ARGUMENT", "per ip", id="no-address"),
        pytest.param([identified(subject="-")], "INVALID_ARGUMENT", "per subject", id="no-subject"),
        pytest.param([identified(route="new")], "UNAVAILABLE", "route 'new'", id="unknown-route"),
        pytest.param([identified(plan="gold")], "UNAVAILABLE", "plan 'gold'", id="unknown-plan"),
    ],
)
async def test_what_cannot_be_decided_is_an_error_and_never_a_yes(running, descriptors, code, words):
    status, details = await running.refusal(*descriptors)

    assert status is grpc.StatusCode[code]
    assert words in details


async def test_a_dead_store_is_unavailable_and_comes_back(running):
    await running.ask(identified())
    running.store.kill()

    status, details = await running.refusal(identified())
    for _ in range(5):
        await running.refusal(identified())

    assert status is grpc.StatusCode.UNAVAILABLE
    assert "counter store" in details
    assert [line["event"] for line in running.log.entries] == ["store down: limited routes answer 503"]
    assert running.metric("tollgate_ratelimit_store_errors_total") == 6

    running.store.start()
    await eventually(lambda: running.answers(identified()))


async def test_a_fault_of_the_program_is_internal_counted_and_logged(tmp_path):
    async with serving(None, FaultyCounters(), tmp_path) as running:
        status, _ = await running.refusal(identified())

    assert status is grpc.StatusCode.INTERNAL
    assert running.metric("tollgate_ratelimit_decisions_total", outcome="error") == 1
    assert [line["event"] for line in running.log.entries] == ["decision failed"]


async def test_decisions_are_counted_by_outcome_and_rule(running):
    for _ in range(5):
        await running.ask(identified())
    await running.refusal(identified(route="new"))

    assert running.metric("tollgate_ratelimit_decisions_total", outcome="admitted") == 3
    assert running.metric("tollgate_ratelimit_decisions_total", outcome="refused") == 2
    assert running.metric("tollgate_ratelimit_decisions_total", outcome="unknown") == 1
    assert (
        running.metric("tollgate_ratelimit_refused_total", limit_set="route/email", rule="email:3/minute:subject") == 2
    )
    assert running.metric("tollgate_ratelimit_decision_seconds_count") == 6
    assert running.metric("tollgate_ratelimit_store_seconds_count") == 5
    assert running.log.entries == []


async def test_the_generated_client_finds_the_method(running):
    """The path is written by hand in server.py; this is the name that Envoy uses."""
    stub = rls_pb2_grpc.RateLimitServiceStub(running.channel)
    request = rls_pb2.RateLimitRequest.FromString(call(identified()))

    assert (await stub.ShouldRateLimit(request)).overall_code == OK


async def test_another_method_is_unimplemented(running):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await running.channel.unary_unary(METHOD + "Not")(b"")

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_policy_that_is_exchanged_applies_to_the_next_call(running):
    for _ in range(4):
        await running.ask(identified())
    raised = limit_set(limit(9, 60, SUBJECT, name="email:3/minute:subject"))
    running.service.consumer.apply(LIMIT_SET_TYPE, {"route/email": raised}, ())

    assert headers(await running.ask(identified()))["ratelimit-remaining"] == "5"
