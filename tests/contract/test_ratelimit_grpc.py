"""The service as Envoy meets it: gRPC on a Unix socket, with a real store behind."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
import structlog
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.wrappers_pb2 import UInt64Value
from prometheus_client import CollectorRegistry

from ratelimit_service.admin import SERVICE
from ratelimit_service.counters import Counters
from ratelimit_service.main import limit_service
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.server import METHOD
from ratelimit_service.store import redis_store
from ratelimit_service.unsettled import FILE_NAME, UnsettledCalls
from service_kit.clock import SystemClock
from service_kit.contract import DESCRIPTOR_IP, LIMIT_SET_TYPE
from service_kit.serve import Service
from tests.support.clock import StillClock
from tests.support.eventually import eventually
from tests.support.limits import (
    CONSUMER,
    IP,
    MODEL,
    SUBJECT,
    TOKENS,
    asked,
    call,
    concurrent,
    descriptor,
    done,
    identified,
    limit,
    limit_set,
    metering,
    quota,
)
from tests.support.steps import UNHURRIED
from tests.support.valkey import StoreServer, valkey_server
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb

OK = rls_pb2.RateLimitResponse.OK
OVER_LIMIT = rls_pb2.RateLimitResponse.OVER_LIMIT
ADDRESS = descriptor((DESCRIPTOR_IP, "192.0.2.7"))
POLICIES = {
    "route/email": limit_set(limit(3, 60, SUBJECT, name="email:3/minute:subject")),
    "route/rag": limit_set(limit(2, 60, IP, name="rag:2/minute:ip")),
    "route/dear": limit_set(limit(10, 60, SUBJECT, name="dear:10/minute:subject")),
    "route/open": limit_set(),
    "plan/free": limit_set(limit(2, 3600, SUBJECT, name="free:2/hour:subject")),
    "route/chat": limit_set(metering=metering(100_000, 300_000)),
    "route/model:mistral": limit_set(
        model="mistral", metering=metering(1, 1, [("ours", 100_000, 300_000), ("theirs", 1_000_000, 3_000_000)])
    ),
    "route/model:llama3.1": limit_set(model="llama3.1", metering=metering()),
    "plan/each": limit_set(
        limit(500, 60, SUBJECT, MODEL, unit=TOKENS, name="each:tokens"), quota("usd", 10**9, CONSUMER, name="each:usd")
    ),
    "route/mail": limit_set(usage="email"),
    "plan/small": limit_set(quota("tokens", 20_000, CONSUMER, name="small:tokens")),
    "plan/mailing": limit_set(quota("email", 10, CONSUMER, name="mailing:email")),
    "plan/narrow": limit_set(concurrent(3, CONSUMER, name="narrow:at-once")),
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
    service = limit_service(counters, CollectorRegistry(), structlog.wrap_logger(None, processors=[log]), directory)
    service.consumer.apply(LIMIT_SET_TYPE, POLICIES, ())
    grpc_server = grpc.aio.server()
    grpc_server.add_generic_rpc_handlers((service.rpc, service.admin))
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
        async with serving(store, redis_store(store.address, UNHURRIED), tmp_path) as service:
            yield service


class FaultyStore:
    """A store with a fault of the program."""

    clustered = False

    async def call(self, step):
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
    asked = [identified(route="dear", hits_addend=hits), descriptor((DESCRIPTOR_IP, "::1"), hits_addend=hits)]

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
    running.store.start()
    await eventually(lambda: running.answers(identified()))


async def test_a_fault_of_the_program_is_internal_counted_and_logged(tmp_path):
    async with serving(None, FaultyStore(), tmp_path) as running:
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
        running.metric(
            "tollgate_ratelimit_refused_total", limit_set="route/email", rule="email:3/minute:subject", kind="limit"
        )
        == 2
    )
    assert running.metric("tollgate_ratelimit_decision_seconds_count") == 6
    assert running.metric("tollgate_ratelimit_store_seconds_count", operation="take") > 0
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


def codes(responses):
    return [response.overall_code for response in responses]


async def test_of_many_calls_on_the_last_tokens_exactly_those_pass_that_can_be_paid(running):
    """20,000 tokens, 900 held a call: 22 fit. What they leave over is there for others as soon as they end."""
    caller = {"route": "chat", "plan": "small"}
    burst = await asyncio.gather(*(running.ask(*asked(f"a{n}", output=900, **caller)) for n in range(200)))
    passed = [n for n, code in enumerate(codes(burst)) if code == OK]
    refused = next(response for response in burst if response.overall_code == OVER_LIMIT)

    assert len(passed) == 22
    assert refused.dynamic_metadata["kind"] == "quota"
    assert (refused.dynamic_metadata["used"], refused.dynamic_metadata["limit"]) == (19_800, 20_000)

    ends = (running.ask(*done(f"a{n}", output=100, held=900, **caller)) for n in passed)
    assert codes(await asyncio.gather(*ends)) == [OK] * 22
    again = await asyncio.gather(*(running.ask(*asked(f"b{n}", output=900, **caller)) for n in range(200)))

    assert codes(again).count(OK) == (20_000 - 22 * 100) // 900
    assert running.metric("tollgate_ratelimit_settlements_total", result="settled") == 22
    assert running.metric("tollgate_ratelimit_overshoot_tokens_total") == 0


async def test_a_call_with_the_id_of_one_under_way_is_refused_and_an_alarm(running):
    caller = {"route": "chat", "plan": "small"}
    await running.ask(*asked("same", **caller))

    status, _ = await running.refusal(*asked("same", **caller))

    assert status is grpc.StatusCode.ALREADY_EXISTS
    assert running.metric("tollgate_ratelimit_repeated_holds_total") == 1
    assert [line["log_level"] for line in running.log.entries if "one id" in line["event"]] == ["error"]


async def test_calls_at_once_are_as_many_as_the_limit_and_no_more(running):
    def begin(number):
        return running.ask(identified(plan="narrow", route="open"), descriptor(("hold", f"n{number}")))

    burst = await asyncio.gather(*(begin(number) for number in range(20)))
    passed = [number for number, code in enumerate(codes(burst)) if code == OK]
    await running.ask(*done(f"n{passed[0]}", plan="narrow", route="open"))

    assert len(passed) == 3
    assert codes([await begin(20), await begin(21)]) == [OK, OVER_LIMIT]


class LateStore:
    """A real store whose answers arrive late."""

    clustered = False

    def __init__(self, store):
        self._store = store
        self.asked = asyncio.Event()

    async def call(self, step):
        reply = await self._store.call(step)
        self.asked.set()
        await asyncio.sleep(0.05)
        return reply

    async def close(self):
        await self._store.close()


async def test_what_a_call_took_whose_client_hung_up_meanwhile_is_given_back(tmp_path):
    caller = {"route": "chat", "plan": "small"}
    with valkey_server(tmp_path) as server:
        late = LateStore(redis_store(server.address))
        async with serving(server, late, tmp_path) as running:
            waiting = running.channel.unary_unary(METHOD)(call(*asked("gone", output=900, **caller)))
            await late.asked.wait()
            waiting.cancel()
            await eventually(lambda: running.metric("tollgate_ratelimit_abandoned_holds_total"))

            asking = quotas_pb.ListQuotasRequest(
                caller=quotas_pb.Caller(consumer="mailer", tenant="acme", plan="small")
            )
            (state,) = await quotas(running, "ListQuotas", asking)
            assert (state.used, state.held) == (0, 0)
            assert (await running.ask(*asked("gone", output=900, **caller))).overall_code == OK


async def test_a_caller_that_no_rule_can_count_is_refused_for_good(running):
    response = await running.ask(identified(subject="-"))

    assert response.overall_code == OVER_LIMIT
    assert response.dynamic_metadata["kind"] == "caller"
    assert "retry-after" not in headers(response)


async def test_calls_without_an_end_are_written_down_before_they_are_forgotten(running, tmp_path, monkeypatch):
    monkeypatch.setattr("ratelimit_service.limiter.LEASE_SECONDS", 0)
    store, metrics = redis_store(running.store.address, UNHURRIED), LimitMetrics(CollectorRegistry())
    counters = Counters(store, SystemClock())
    calls = UnsettledCalls(counters, metrics=metrics, clock=StillClock(), log=structlog.get_logger())
    file = tmp_path / FILE_NAME
    await running.ask(*asked("lost", output=50, received=20, route="chat", plan="small"))

    await calls.look(file)
    await calls.look(file)
    await store.close()

    (line,) = file.read_text().splitlines()
    assert json.loads(line) == {
        "type": "unsettled", "hold": "lost", "at": StillClock().now(), "route": "chat", "subject": "alice",
        "tenant": "acme", "consumer": "mailer", "plan": "small", "tokens_in": 20, "tokens_out": 50, "cost": 17_000,
    }  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600


async def quotas(running, method, request):
    call_ = running.channel.unary_unary(f"/{SERVICE}/{method}", response_deserializer=quotas_pb.QuotasReport.FromString)
    return (await call_(request.SerializeToString())).quotas


MAILER = quotas_pb.Caller(consumer="mailer", tenant="acme", plan="mailing")


async def test_a_quota_is_read_granted_and_reset(running):
    caller = {"route": "mail", "plan": "mailing"}
    first = [await running.ask(identified(**caller)) for _ in range(11)]
    assert codes(first) == [OK] * 10 + [OVER_LIMIT]
    assert headers(first[7])["quota-warning"].startswith("mailing:email; used=8; limit=10; resets=")

    (state,) = await quotas(running, "ListQuotas", quotas_pb.ListQuotasRequest(caller=MAILER))
    assert (state.quota, state.usage, state.window, dict(state.per)) == (
        "mailing:email", "email", "month", {"consumer": "mailer"}
    )  # fmt: skip
    assert (state.used, state.held, state.limit, state.granted) == (10, 0, 10, 0)
    assert state.begins < SystemClock().now() < state.resets

    grant = quotas_pb.GrantQuotaRequest(caller=MAILER, quota="mailing:email", amount=2)
    (state,) = await quotas(running, "GrantQuota", grant)
    assert (state.used, state.granted) == (10, 2)
    assert codes([await running.ask(identified(**caller)) for _ in range(3)]) == [OK, OK, OVER_LIMIT]

    reset = quotas_pb.ResetQuotaRequest(caller=MAILER, quota="mailing:email")
    (state,) = await quotas(running, "ResetQuota", reset)
    assert (state.used, state.granted) == (0, 2)
    assert codes([await running.ask(identified(**caller)) for _ in range(13)]) == [OK] * 12 + [OVER_LIMIT]
    assert [line["event"] for line in running.log.entries] == ["quota granted", "quota reset"]


@pytest.mark.parametrize(
    ("method", "request_", "code", "words"),
    [
        pytest.param("ListQuotas", quotas_pb.ListQuotasRequest(), "INVALID_ARGUMENT", "name a consumer", id="nobody"),
        pytest.param(
            "ListQuotas",
            quotas_pb.ListQuotasRequest(caller=quotas_pb.Caller(consumer="mailer", plan="gold")),
            "NOT_FOUND",
            "no plan 'gold'",
            id="unknown-plan",
        ),
        pytest.param(
            "GrantQuota",
            quotas_pb.GrantQuotaRequest(caller=MAILER, quota="other", amount=1),
            "NOT_FOUND",
            "there is: mailing:email",
            id="unknown-quota",
        ),
        pytest.param(
            "GrantQuota",
            quotas_pb.GrantQuotaRequest(caller=MAILER, quota="mailing:email", amount=2**50),
            "INVALID_ARGUMENT",
            "amount",
            id="too-much",
        ),
        pytest.param(
            "GrantQuota",
            quotas_pb.GrantQuotaRequest(caller=MAILER, quota="mailing:email"),
            "INVALID_ARGUMENT",
            "amount",
            id="nothing",
        ),
    ],
)
async def test_what_cannot_be_said_of_quotas(running, method, request_, code, words):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await quotas(running, method, request_)

    assert error.value.code() is grpc.StatusCode[code]
    assert words in error.value.details()


async def test_quotas_of_a_store_that_is_away_are_unavailable(running):
    running.store.kill()

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await quotas(running, "ListQuotas", quotas_pb.ListQuotasRequest(caller=MAILER))

    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_calls_of_each_model_are_counted_apart_and_paid_to_who_answered(running):
    caller = {"plan": "each", "consumer": "acme"}

    async def begun(hold, route, output):
        return await running.ask(*asked(hold, output=output, route=route, **caller))

    first = await begun("h1", "model:mistral", 400)
    assert first.overall_code == OK
    assert headers(first)["x-ratelimit-remaining-tokens"] == "100"
    assert (await begun("h2", "model:llama3.1", 400)).overall_code == OK
    full = await begun("h3", "model:mistral", 400)
    assert full.overall_code == OVER_LIMIT
    assert headers(full)["x-ratelimit-remaining-tokens"] == "100"
    assert await spent(running) == 400 * 3_000

    await running.ask(*done("h1", prompt=20, output=30, held=400, cluster="ours", route="model:mistral", **caller))
    assert headers(await begun("h4", "model:mistral", 10))["x-ratelimit-remaining-tokens"] == "440"
    assert await spent(running) == 20 * 100 + 30 * 300 + 10 * 3_000


async def spent(running):
    """Nano-dollars of the quota."""
    request = quotas_pb.ListQuotasRequest(caller=quotas_pb.Caller(consumer="acme", tenant="acme", plan="each"))
    (found,) = await quotas(running, "ListQuotas", request)
    return found.used


async def test_a_quota_of_each_model_is_granted_by_the_models_name(running):
    each = limit_set(quota("tokens", 300, CONSUMER, MODEL, name="each:tokens"))
    running.service.consumer.apply(LIMIT_SET_TYPE, {"plan/each": each}, ())
    caller = {"plan": "each", "route": "model:mistral"}
    assert (await running.ask(*asked("h1", output=300, **caller))).overall_code == OK
    assert (await running.ask(*asked("h2", output=300, **caller))).overall_code == OVER_LIMIT

    mailer = {"consumer": "mailer", "tenant": "acme", "plan": "each"}
    nobody = quotas_pb.Caller(**mailer)
    assert list(await quotas(running, "ListQuotas", quotas_pb.ListQuotasRequest(caller=nobody))) == []
    mistral = quotas_pb.Caller(**mailer, model="mistral")
    grant = quotas_pb.GrantQuotaRequest(caller=mistral, quota="each:tokens", amount=300)
    (state,) = await quotas(running, "GrantQuota", grant)
    assert (state.held, state.granted, dict(state.per)) == (300, 300, {"consumer": "mailer", "model": "mistral"})

    assert (await running.ask(*asked("h3", output=300, **caller))).overall_code == OK
    (other,) = await quotas(
        running, "ListQuotas", quotas_pb.ListQuotasRequest(caller=quotas_pb.Caller(**mailer, model="llama3.1"))
    )
    assert (other.used, other.granted) == (0, 0)
