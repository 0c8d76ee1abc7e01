"""The swap-in answers sequences of calls as envoyproxy/ratelimit does: real gRPC, a real store, time held still.

Each case is a configuration, and calls with what is answered to them, in order: what is left of which limit, `!` where
it is over.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from redis.asyncio import Redis

from ratelimit_service.store import Store, redis_store
from ratelimit_service.swap_in.http import LARGEST_BODY, http_app
from ratelimit_service.swap_in.server import METHOD
from tests.support.steps import UNHURRIED
from tests.support.swap_in import asked, request, swap_in
from tests.support.valkey import valkey_server

SHOP = """
    domain: shop
    descriptors:
      - key: user
        rate_limit: {unit: minute, requests_per_unit: 2}
      - key: user
        value: vip
        rate_limit: {unit: minute, requests_per_unit: 4, name: vip}
      - key: user
        value: staff
      - key: banned
        rate_limit: {unit: hour, requests_per_unit: 0}
      - key: free
        rate_limit: {unlimited: true}
      - key: kind
        value: mail
        rate_limit: {unit: day, requests_per_unit: 3}
        descriptors:
          - key: to
            rate_limit: {unit: day, requests_per_unit: 1}
          - key: to
            value: boss
      - key: path
        value: /api/*
        rate_limit: {unit: second, requests_per_unit: 1}
      - key: path
        value: /api/*/slow*
        rate_limit: {unit: second, requests_per_unit: 9}
      - key: path
        value: /files/*
        share_threshold: true
        rate_limit: {unit: second, requests_per_unit: 2}
      - key: try
        shadow_mode: true
        rate_limit: {unit: minute, requests_per_unit: 1}
      - key: big
        rate_limit: {unit: week, requests_per_unit: 4294967295}
"""
REPLACING = """
    domain: shop
    descriptors:
      - key: user
        rate_limit: {name: of_user, unit: minute, requests_per_unit: 1}
      - key: country
        rate_limit: {name: of_country, unit: minute, requests_per_unit: 1}
      - key: plan
        value: gold
        rate_limit: {unit: minute, requests_per_unit: 3, replaces: [{name: of_user}]}
      - key: plan
        value: free
        rate_limit: {unlimited: true, replaces: [{name: of_user}, {name: of_country}]}
"""
QUOTAS = """
    domain: shop
    descriptors:
      - {key: limit, rate_limit: {unit: minute, requests_per_unit: 1}}
      - {key: one, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 1}, metadata: {at: {one: 1}}}
      - {key: two, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 2}, metadata: {at: {two: [2]}}}
"""


@pytest.fixture(scope="module")
def store():
    with tempfile.TemporaryDirectory() as folder, valkey_server(Path(folder)) as server:
        yield server


@dataclass(frozen=True)
class Spread:
    """Says that it is a cluster, so that every counter is a step of its own."""

    store: Store
    clustered: bool = True

    async def call(self, step):
        return await self.store.call(step)


@pytest.fixture
async def scripts(store):
    opened = redis_store(store.address, UNHURRIED)
    yield opened
    await opened.close()


SEQUENCES = [
    pytest.param(SHOP, [
        (["user=a"], "OK: 1/2 minute"), (["user=a"], "OK: 0/2 minute"), (["user=a"], "OVER: 0/2 minute!"),
        (["user=b"], "OK: 1/2 minute"),
    ], id="each value of a key alone has a count"),
    pytest.param(SHOP, [(["user=vip"], "OK: 3/4 minute"), (["user=staff"], "OK: -")], id="key and value come first"),
    pytest.param(SHOP, [(["user="], "OK: 1/2 minute"), (["User=a"], "OK: -"), (["other=a"], "OK: -")],
                 id="empty values match, unknown keys and other cases do not"),
    pytest.param(SHOP, [(["banned=x"], "OVER: 0/0 hour!")], id="a limit of zero bans"),
    pytest.param(SHOP, [(["free=x"], "OK: unlimited")], id="unlimited"),
    pytest.param(SHOP, [
        (["kind=mail"], "OK: 2/3 day"), (["kind=mail to=x"], "OK: 0/1 day"), (["kind=mail to=x"], "OVER: 0/1 day!"),
        (["kind=mail to=boss"], "OK: -"), (["kind=post"], "OK: -"), (["kind=mail to=x by=y"], "OK: -"),
        (["to=x"], "OK: -"),
    ], id="as many levels as entries, no more and no fewer"),
    pytest.param(SHOP, [(["user=a", "kind=mail", "free=x"], "OK: 1/2 minute, 2/3 day, unlimited"),
                        (["user=a", "user=a", "user=a"], "OVER: 0/2 minute, 0/2 minute!, 0/2 minute!")],
                 id="all descriptors count, equal ones one after the other"),
    pytest.param(SHOP, [(["user=a", "banned=x"], "OVER: 1/2 minute, 0/0 hour!"), (["user=a"], "OK: 0/2 minute")],
                 id="a refused call is counted"),
    pytest.param(SHOP, [
        (["path=/api/1"], "OK: 0/1 second"), (["path=/api/2"], "OK: 0/1 second"),
        (["path=/api/1"], "OVER: 0/1 second!"),
        (["path=/api/1/slow"], "OK: 0/1 second"), (["path=/api"], "OK: -"), (["path=/api/"], "OK: 0/1 second"),
    ], id="the first wildcard that matches, counted apart"),
    pytest.param(SHOP, [
        (["path=/files/a"], "OK: 1/2 second"), (["path=/files/b"], "OK: 0/2 second"),
        (["path=/files/c"], "OVER: 0/2 second!"),
    ], id="shared threshold"),
    pytest.param(SHOP, [(["try=a"], "OK: 0/1 minute"), (["try=a"], "OK: 0/1 minute"),
                        (["try=a", "user=a"], "OK: 0/1 minute, 1/2 minute")], id="shadow mode counts and lets pass"),
    pytest.param(SHOP, [
        ([asked("user=vip", hits=3)], "OK: 1/4 minute"), ([asked("user=vip", hits=0)], "OK: 1/4 minute"),
        ([asked("user=vip", hits=2)], "OVER: 0/4 minute!"), ([asked("user=vip", hits=0)], "OVER: 0/4 minute!"),
    ], id="hits of a descriptor, zero only looks"),
    pytest.param(SHOP, [
        ([asked("user=vip", hits=4)], "OK: 0/4 minute"), ([asked("user=vip", hits=0)], "OK: 0/4 minute"),
        (["user=vip"], "OVER: 0/4 minute!"),
    ], id="looking at what is used up is no refusal"),
    pytest.param(SHOP, [
        ([asked("user=vip", hits=6)], "OVER: 0/4 minute!"),
        ([asked("user=vip", hits=3, negative=True)], "OK: 1/4 minute"),
        ([asked("user=vip", hits=9, negative=True)], "OK: 4/4 minute"), (["user=vip"], "OK: 3/4 minute"),
    ], id="negative hits are given back, never below zero"),
    pytest.param(SHOP, [([asked("big=x", hits=2**63)], "OVER: 0/4294967295 week!"),
                        ([asked("big=x", hits=2**64 - 1)], "OVER: 0/4294967295 week!")], id="huge hits"),
    pytest.param(SHOP, [
        ([asked("user=a", limit=(3, "HOUR"))], "OK: 2/3 hour"), ([asked("new=b", limit=(1, "YEAR"))], "OK: 0/1 year"),
        ([asked("free=a", limit=(1, "MONTH"))], "OK: 0/1 month"), ([asked("user=a")], "OK: 1/2 minute"),
        ([asked("try=a", limit=(0, "DAY"))], "OVER: 0/0 day!"),
    ], id="a limit that the request brings"),
    pytest.param(SHOP.replace("  - key: free", "  - key: user_a\n        value: b\n        rate_limit: "
                              "{unit: minute, requests_per_unit: 7}\n      - key: free"),
                 [(["user=a_b"], "OK: 1/2 minute"), (["user_a=b"], "OK: 6/7 minute")], id="descriptors never collide"),
    pytest.param(REPLACING, [
        (["user=a", "plan=gold"], "OK: -, 2/3 minute"), (["user=a"], "OK: 0/1 minute"),
        (["user=a"], "OVER: 0/1 minute!"), (["user=a", "plan=gold"], "OK: -, 1/3 minute"),
        (["user=a", "plan=silver"], "OVER: 0/1 minute!, -"),
        (["country=x", "user=a", "plan=gold"], "OK: 0/1 minute, -, 0/3 minute"),
        (["country=x", "user=a", "plan=free"], "OK: -, -, unlimited"),
    ], id="replaced limits are neither asked nor counted"),
    pytest.param(QUOTAS, [
        (["one=x", "two=x"], "OK: 0/1 minute, 1/2 minute"), (["one=x", "two=x"], "OK: 0/1 minute!, 0/2 minute"),
        (["one=x", "two=x"], "OVER: 0/1 minute!, 0/2 minute!"), (["one=x"], "OVER: 0/1 minute!"),
        (["one=x", "two=y", "limit=x"], "OK: 0/1 minute!, 1/2 minute, 0/1 minute"),
        (["two=z", "limit=x"], "OVER: 1/2 minute, 0/1 minute!"),
    ], id="quotas refuse when all of them are over"),
]  # fmt: skip


@pytest.mark.parametrize("clustered", [False, True], ids=["one-step", "a-step-each"])
@pytest.mark.parametrize(("config", "calls"), SEQUENCES)
async def test_answers(scripts, tmp_path, clustered, config, calls):
    async with swap_in(Spread(scripts) if clustered else scripts, tmp_path, config) as running:
        answers = [(call, await running.says(*call)) for call, _ in calls]

    assert answers == calls


@pytest.mark.parametrize(
    ("environ", "config", "calls"),
    [
        pytest.param({"SHADOW_MODE": "true"}, SHOP, [(["banned=x"], "OK: 0/0 hour!")], id="shadow"),
        pytest.param({"QUOTA_MODE": "true"}, SHOP, [
            (["banned=x", "user=a"], "OK: 0/0 hour!, 1/2 minute"), (["banned=x"], "OVER: 0/0 hour!"),
            (["banned=x", "unknown=a"], "OK: 0/0 hour!, -"), (["banned=x", "free=a"], "OVER: 0/0 hour!, unlimited"),
        ], id="quota"),
        pytest.param({"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT": "true"}, SHOP, [
            (["user=a", "banned=x"], "OVER: 2/2 minute, 0/0 hour!"), (["user=a"], "OK: 1/2 minute"),
        ], id="only what is over is counted"),
    ],
)  # fmt: skip
async def test_answers_in_global_modes(scripts, tmp_path, environ, config, calls):
    async with swap_in(scripts, tmp_path, config, environ=environ) as running:
        answers = [(call, await running.says(*call)) for call, _ in calls]

    assert answers == calls


@pytest.mark.parametrize("hits", [pytest.param(0, id="none-is-one"), 1, 2, 3])
async def test_hits_of_the_request_hold_for_descriptors_without(scripts, tmp_path, hits):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        answer = await running.says("user=vip", asked("kind=mail", hits=1), hits=hits)

    assert answer == f"OK: {4 - max(1, hits)}/4 minute, 2/3 day"


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400), ("week", 604_800), ("month", 2_592_000),
     ("year", 31_536_000), ("MINUTE", 60)],
)  # fmt: skip
async def test_windows_begin_at_multiples_of_their_length_since_the_epoch(scripts, tmp_path, unit, seconds):
    config = f"{{domain: shop, descriptors: [{{key: a, rate_limit: {{unit: {unit}, requests_per_unit: 2}}}}]}}"
    async with swap_in(scripts, tmp_path, config) as running:
        running.clock.seconds = 40 * seconds + 0.25
        first = await running.ask("a=x")
        running.clock.seconds = 41 * seconds - 0.25
        last = await running.ask("a=x")
        running.clock.seconds = 41 * seconds
        after = await running.ask("a=x")
        running.clock.seconds = 41 * seconds - 0.25
        set_back = await running.ask("a=x")

    assert [response.statuses[0].limit_remaining for response in (first, last, after, set_back)] == [1, 0, 1, 0]
    assert [first.statuses[0].duration_until_reset.seconds, last.statuses[0].duration_until_reset.seconds] == [
        seconds,
        1,
    ]


async def test_every_counter_expires_with_its_window(store, scripts, tmp_path):
    config = "{domain: 'sh{op', descriptors: [{key: a, rate_limit: {unit: hour, requests_per_unit: 2}}]}"
    client = Redis(unix_socket_path=store.address.removeprefix("unix:"))
    async with client, swap_in(scripts, tmp_path, config) as running:
        running.clock.seconds = 3600 * 400 + 600
        await running.ask("a=}x:*", domain="sh{op")
        await running.ask(asked("a=seen", hits=0), domain="sh{op")
        prefix = running.handler._settings.key_prefix
        keys = await client.keys(f"{prefix}*")
        left = await client.pttl(keys[0])

    assert len(keys) == 1  # looking leaves nothing
    assert 2_990_000 < left <= 3_000_000
    assert keys[0].count(b"{") == keys[0].count(b"}") == 1


async def test_details_of_a_status(scripts, tmp_path):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        running.clock.seconds = 1_700_000_010.5
        response = await running.ask("user=vip", "free=x", "none=x")

    assert MessageToDict(response) == {
        "overallCode": "OK",
        "statuses": [
            {
                "code": "OK",
                "currentLimit": {"name": "vip", "requestsPerUnit": 4, "unit": "MINUTE"},
                "limitRemaining": 3,
                "durationUntilReset": "30s",
            },
            {"code": "OK", "limitRemaining": 4294967295},
            {"code": "OK"},
        ],
    }


@pytest.mark.parametrize(
    ("calls", "headers"),
    [
        pytest.param([["user=vip", "user=a"]], ["2", "1", "40"], id="the one with the least left"),
        pytest.param([["banned=x", "user=a", "free=x"]], ["0", "0", "2800"], id="the one that refuses"),
        pytest.param([["free=x", "none=x"]], [], id="none without a limit"),
    ],
)
async def test_headers(scripts, tmp_path, calls, headers):
    environ = {"LIMIT_RESPONSE_HEADERS_ENABLED": "true", "LIMIT_RESET_HEADER": "x-reset"}
    async with swap_in(scripts, tmp_path, SHOP, environ=environ) as running:
        responses = [await running.ask(*call) for call in calls]

    names = ["RateLimit-Limit", "RateLimit-Remaining", "x-reset"]
    found = [(header.key, header.value) for header in responses[-1].response_headers_to_add]
    assert found == list(zip(names, headers, strict=False))


async def test_metadata_tells_what_was_asked_and_of_the_rules_that_let_pass(scripts, tmp_path):
    async with swap_in(scripts, tmp_path, QUOTAS, environ={"RESPONSE_DYNAMIC_METADATA": "true"}) as running:
        first = await running.ask("one=x", asked("two=x", hits=1), hits=1)
        second = await running.ask("one=x", asked("two=x", limit=(5, "HOUR")))
        third = await running.ask("one=x", "two=x")

    assert MessageToDict(first.dynamic_metadata) == {
        "domain": "shop",
        "descriptors": [{"entries": ["one=x"]}, {"entries": ["two=x"], "hitsAddend": 1.0}],
        "hitsAddend": 1.0,
        "metadata": {"at": {"one": 1.0, "two": [2.0]}},
    }
    assert MessageToDict(second.dynamic_metadata)["descriptors"][1] == {
        "entries": ["two=x"],
        "limit": "requests_per_unit:5 unit:HOUR",
    }
    assert "metadata" not in MessageToDict(second.dynamic_metadata)
    assert MessageToDict(third.dynamic_metadata)["metadata"] == {"at": {"two": [2.0]}}


async def test_unknown_domains_limit_nothing(scripts, tmp_path):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        answer = await running.says("user=a", asked("user=a", limit=(0, "DAY")), domain="elsewhere")

    assert answer == "OK: -, -"


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        pytest.param(request("user=a", domain=""), grpc.StatusCode.UNKNOWN, "no domain", id="no domain"),
        pytest.param(request(), grpc.StatusCode.UNKNOWN, "no descriptors", id="no descriptors"),
        pytest.param(request(asked("user=a", limit=(1, "UNKNOWN"))), grpc.StatusCode.UNKNOWN, "unit 0", id="no unit"),
    ],
)
async def test_calls_that_nobody_can_answer(scripts, tmp_path, raw, code, words):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        with pytest.raises(grpc.aio.AioRpcError, match=words) as error:
            await running.channel.unary_unary(METHOD)(raw.SerializeToString())
        assert await running.says("user=a") == "OK: 1/2 minute"

    assert error.value.code() is code


async def test_bytes_that_are_no_call(scripts, tmp_path):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        with pytest.raises(grpc.aio.AioRpcError, match="not a RateLimitRequest"):
            await running.channel.unary_unary(METHOD)(b"\xff")


async def test_of_many_calls_at_once_exactly_the_limit_passes(scripts, tmp_path):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        answers = await asyncio.gather(*(running.says("user=vip") for _ in range(60)))

    assert sorted(answers) == [f"OK: {left}/4 minute" for left in range(4)] + ["OVER: 0/4 minute!"] * 56


async def test_hits_by_rule_and_result(scripts, tmp_path):
    config = """
        domain: shop
        descriptors:
          - {key: a, rate_limit: {unit: hour, requests_per_unit: 10}}
          - {key: b, value: x*, value_to_metric: true, rate_limit: {unit: hour, requests_per_unit: 10}}
          - {key: c, detailed_metric: true, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
    """
    async with swap_in(scripts, tmp_path, config) as running:
        for hits in (7, 2, 3, 1):
            await running.ask(asked("a=1", hits=hits))
        await running.ask(asked("a=1", hits=4, negative=True))
        await running.ask("b=xy", asked("c=z", hits=3))

    assert running.hits("shop.a") == {"total": 13, "within": 9, "near": 2, "over": 3, "given_back": 4}
    assert running.hits("shop.b_xy") == {"total": 1, "within": 1}
    assert running.hits("shop.c_z") == {"total": 3, "over": 2, "shadow": 2, "near": 1}


async def test_a_store_that_is_down_is_an_error_and_no_answer(store, scripts, tmp_path):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        assert await running.says("user=a") == "OK: 1/2 minute"
        store.kill()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await running.ask("user=a")
        assert await running.says("free=a") == "OK: unlimited"
        store.start()

    assert error.value.code() is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        pytest.param('{"domain": "shop", "descriptors": [{"entries": [{"key": "free", "value": "x"}]}]}', 200,
                     {"overallCode": "OK", "statuses": [{"code": "OK", "limitRemaining": 4294967295}]}, id="OK"),
        pytest.param('{"domain": "shop", "descriptors": [{"entries": [{"key": "banned", "value": "x"}]}]}', 429,
                     {"overallCode": "OVER_LIMIT", "statuses": [{
                         "code": "OVER_LIMIT", "currentLimit": {"unit": "HOUR"}, "durationUntilReset": "2800s"}]},
                     id="over limit"),
        pytest.param('{"domain": "shop"}', 400, "no descriptors", id="unusable"),
        pytest.param('{"domian": "shop"}', 400, "not a RateLimitRequest", id="misspelled"),
        pytest.param(b" " * (LARGEST_BODY + 1), 413, "more than 1048576 bytes", id="large"),
    ],
)  # fmt: skip
async def test_json(scripts, tmp_path, body, status, answer):
    async with swap_in(scripts, tmp_path, SHOP) as running:
        transport = httpx.ASGITransport(http_app(running.handler.decide))
        async with httpx.AsyncClient(transport=transport, base_url="http://limits") as client:
            response = await client.post("/json", content=body)
            health = await client.get("/healthcheck")

    assert response.status_code == status
    assert (answer in response.text) if isinstance(answer, str) else (response.json() == answer)
    assert (health.status_code, health.text) == (200, "OK")
