"""Tokens through the whole gateway: held when a call begins, corrected when its stream ends, and never oversold."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually, until
from tests.support.gateway import Gateway, running_gateway
from tests.support.model import ANSWER, USAGE, WORDS, Model, running_model

CHAT = "/v1/chat/completions"
MOST = 100
USED = USAGE["total_tokens"]
BODY = json.dumps({"max_tokens": MOST}).encode()
STREAM = json.dumps({"max_tokens": MOST, "stream": True}).encode()
# A prompt is held as if each byte were a token.
HELD = MOST + len(BODY)
AFFORDABLE = 20
# One token short of another call.
QUOTA = AFFORDABLE * HELD + HELD - 1
NAMES = ("parallel", "busy", "aborted", "failed", "streamed", "spent", "gone")


def token_of(name: str) -> str:
    return f"a-bearer-token-of-{name}-for-tests"


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with running_model() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(model: Model) -> Iterator[Gateway]:
    """Each test is a consumer of its own."""
    config = {
        "defaults": {"auth": ["bearer"]},
        "identity": {
            "bearer_tokens": [
                {"name": name, "token": token_of(name), "consumer": name, "plan": "small"} for name in NAMES
            ]
        },
        "consumers": [{"name": name} for name in NAMES],
        "plans": {"small": {"quotas": [{"usage": "tokens", "amount": f"{QUOTA}/month"}]}},
        "upstreams": {"model": {"url": model.url, "health_check": "none"}},
        "routes": [
            {"name": "chat", "match": {"path": CHAT}, "upstream": "model", "streaming": True,
             "tokens": {"most": QUOTA, "price": {"input": 0.5, "output": 1.5}}},
            {"name": "busy", "match": {"path": "/busy"}, "upstream": "model", "limits": [{"concurrent": 3}]},
        ],
    }  # fmt: skip
    with running_gateway(config) as running:
        yield running


def asked(name: str, answer: str = "json") -> dict[str, str]:
    headers = {"content-type": "application/json", ANSWER: answer}
    return {**headers, "authorization": f"Bearer {token_of(name)}"}


def all_of_it() -> bytes:
    """A call that may come to the whole quota: its prompt, a token a byte, and an answer."""
    size = len(json.dumps({"max_tokens": QUOTA}))
    return json.dumps({"max_tokens": QUOTA - size}).encode()


def all_is_left(gateway: Gateway, name: str) -> httpx.Response:
    """The answer to a call that passes where nothing of the quota has been used."""
    with gateway.client() as client:
        return client.post(CHAT, content=all_of_it(), headers=asked(name))


def spent(gateway: Gateway, name: str) -> int:
    """What the quota of a consumer stands at, which is not 0."""
    answer = all_is_left(gateway, name)
    assert answer.status_code == 402, answer.text
    used: int = answer.json()["error"]["quota"]["used"]
    return used


async def statuses(gateway: Gateway, model: Model, path: str, name: str, *, calls: int, pass_: int) -> Counter[int]:
    """How often each status came back from so many calls at once, of which so many are under way until all are told.

    Who is told that limits cannot be checked now asks again, as the answer says: a busy machine may take a second.
    """
    model.gate.clear()
    limits = httpx.Limits(max_connections=calls)

    async def call() -> httpx.Response:
        answer = await client.post(path, content=BODY, headers=asked(name, "gated"))
        if answer.status_code == 503 and answer.json()["error"]["code"] == "limiter_unavailable":
            return await call()
        return answer

    async with httpx.AsyncClient(base_url=gateway.url, limits=limits, timeout=60, trust_env=False) as client:
        made = [asyncio.create_task(call()) for _ in range(calls)]
        await eventually(lambda: sum(task.done() for task in made) >= calls - pass_, within=60)
        model.gate.set()
        answers = await asyncio.gather(*made)
    return Counter(answer.status_code for answer in answers)


async def test_of_200_calls_at_once_exactly_those_pass_that_can_be_paid(gateway: Gateway, model: Model) -> None:
    found = await statuses(gateway, model, CHAT, "parallel", calls=200, pass_=AFFORDABLE)

    assert found == {200: AFFORDABLE, 402: 200 - AFFORDABLE}
    until(lambda: spent(gateway, "parallel") == AFFORDABLE * USED)


async def test_calls_under_way_are_counted_and_given_back(gateway: Gateway, model: Model) -> None:
    found = [await statuses(gateway, model, "/busy", "busy", calls=20, pass_=3) for _ in range(2)]

    assert found == [{200: 3, 429: 17}] * 2


def test_a_stream_is_charged_what_it_told(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.post(CHAT, content=STREAM, headers=asked("streamed", "events"))

    assert answer.status_code == 200
    until(lambda: spent(gateway, "streamed") == USED)


def test_a_failure_costs_nothing(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.post(CHAT, content=BODY, headers=asked("failed", "failed"))
        client.post(CHAT, content=b'{"max_tokens": 1, "max_tokens": 99}', headers=asked("failed"))

    assert until(lambda: all_is_left(gateway, "failed").status_code == 200)


def test_a_stream_that_its_client_leaves_is_charged_for_what_was_sent(gateway: Gateway) -> None:
    with (
        gateway.client() as client,
        client.stream("POST", CHAT, content=STREAM, headers=asked("aborted", "endless events")) as answer,
    ):
        request_id = answer.headers["x-request-id"]
        next(answer.iter_bytes(len(WORDS)))

    row = gateway.logged(request_id)
    charged = sum(-(-size // 4) for size in (row["bytes_in"], row["bytes_out"]))
    assert row["bytes_out"] >= len(WORDS)
    until(lambda: spent(gateway, "aborted") == charged)


def test_a_client_that_leaves_before_an_answer_is_charged_for_its_prompt(gateway: Gateway, model: Model) -> None:
    headers = {**asked("gone", "gated"), "host": "gateway", "content-length": str(len(BODY))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    before = len(model.bodies)
    model.gate.clear()
    try:
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(f"POST {CHAT} HTTP/1.1\r\n{head}\r\n".encode() + BODY)
            until(lambda: len(model.bodies) > before)
        until(lambda: spent(gateway, "gone") == -(-len(BODY) // 4))
    finally:
        model.gate.set()


def test_a_spent_quota_says_what_it_is(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.post(CHAT, content=BODY, headers=asked("spent"))
    answer = all_is_left(gateway, "spent")

    error: dict[str, Any] = answer.json()["error"]
    quota = error.pop("quota")
    assert (answer.status_code, error["code"]) == (402, "quota_exceeded")
    assert (quota["usage"], quota["limit"], quota["window"]) == ("tokens", QUOTA, "month")
    assert quota.keys() == {"rule", "usage", "used", "limit", "window", "resets_at"}
    row = gateway.logged(error["request_id"])
    assert (row["status"], row["limit"], row["hold"]) == (402, quota["rule"], error["request_id"])
    assert "Invalid hits_addend" not in gateway.log("envoy")


def test_more_than_the_whole_quota_is_no_matter_of_waiting(gateway: Gateway) -> None:
    with gateway.client() as client:
        answer = client.post(CHAT, content=json.dumps({"max_tokens": QUOTA}), headers=asked("spent"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "retry-after" not in answer.headers
