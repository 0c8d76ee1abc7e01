"""Metered calls through the real Envoy: what it asks of the limiter at both ends, and of the upstream.

The limiter is the test's own and keeps what it is asked; the configuration is compiled as the gateway compiles it.
"""

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy.service.ratelimit.v3 import rls_pb2

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from service_kit import contract
from service_kit.endpoint import unix_endpoint
from tests.support.compiled import WIRING, config, written
from tests.support.envoy import static_envoy
from tests.support.eventually import until
from tests.support.limiter import OVER_LIMIT, Call, Limiter, admits, running_limiter
from tests.support.model import ANSWER, WORDS, Model, running_model
from tests.support.ports import free_port

MOST = 100
CHAT = "/v1/chat/completions"
LIMITS = [{"tokens": "1000/minute", "per": "ip"}]


def metered(name: str, path: str, **changes: Any) -> dict[str, Any]:
    route = {
        "name": name, "match": {"path": path}, "upstream": "model", "auth": "none", "limits": LIMITS,
        "streaming": True, "tokens": {"most": MOST, "price": {"input": 0.5, "output": 1.5}},
    }  # fmt: skip
    return {**route, **changes}


ROUTES = [
    metered("chat", CHAT),
    metered("untold", "/untold" + CHAT, tokens={"most": MOST, "request_usage": False}),
    metered("newer", "/newer" + CHAT, tokens={"most": MOST, "upstream_takes": "max_completion_tokens"}),
    metered("either", "/either" + CHAT, tokens={"most": MOST, "upstream_takes": "either"}),
    metered("completions", "/v1/completions"),
    metered("embeddings", "/v1/embeddings", tokens={}),
    metered("ollama", "/api/chat"),
    metered("counted-by-nobody", "/free" + CHAT, limits=[]),
    metered("merged", "/merged" + CHAT, request_body={"merge": {"model": "100%", "top_p": 0.5}}),
    {"name": "busy", "match": {"path": "/busy"}, "upstream": "model", "auth": "none",
     "limits": [{"concurrent": 3, "per": "ip"}]},
    {"name": "plain", "match": {"path": "/plain"}, "upstream": "model", "auth": "none",
     "limits": [{"requests": "3/minute", "per": "ip"}]},
]  # fmt: skip


@dataclass
class Stage:
    """An Envoy between a client, a limiter and a model."""

    client: httpx.Client
    limiter: Limiter
    model: Model
    log: Path

    def call(self, body: Any, path: str = CHAT, **headers: str) -> "Told":
        """What became of a call with this body, as JSON where it is no bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        before = len(self.model.bodies)
        answer = self.client.post(path, content=content, headers={"content-type": "application/json", **headers})
        request_id = answer.headers["x-request-id"]
        return Told(answer, self.limiter.begun(request_id), self.model.bodies[before:], request_id)

    def row(self, request_id: str) -> dict[str, Any]:
        def rows() -> list[dict[str, Any]]:
            return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

        return until(lambda: next((row for row in rows() if row["request_id"] == request_id), None))


@dataclass(frozen=True)
class Told:
    """The client's answer, what the limiter was asked before it, and what the model got."""

    answer: httpx.Response
    asked: Call | None
    bodies: list[dict[str, Any]]
    request_id: str

    @property
    def held(self) -> dict[str, int]:
        """What the client asks for: the numbers that are not 0, without the size of the prompt."""
        assert self.asked is not None
        return {name: number for name, number in self.asked.numbers.items() if number and name != "received"}


@pytest.fixture(scope="module")
def envoy() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="metered") as name, running_model() as model:
        folder, port = Path(name), free_port()
        content = config(
            listeners={"public": {"address": f"127.0.0.1:{port}"}},
            upstreams={"model": {"url": model.url, "health_check": "none"}},
            routes=ROUTES,
        )
        wiring = replace(WIRING, ratelimit=unix_endpoint(folder / "limits.sock"), access_log=str(folder / "access.log"))
        found, _ = snapshots(compile_file(written(folder, content), {}).gateway, wiring)
        with (
            running_limiter(folder / "limits.sock") as limiter,
            static_envoy(static_bootstrap(found), folder),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False, verify=False) as client,
        ):
            stage = Stage(client, limiter, model, folder / "access.log")
            until(lambda: stage.call({}).answer.status_code == 200)
            yield stage


@pytest.fixture
def stage(envoy: Stage) -> Iterator[Stage]:
    yield envoy
    envoy.limiter.says = admits


@pytest.mark.parametrize(
    ("path", "body", "held", "sent"),
    [
        pytest.param(CHAT, {}, {"max_tokens": MOST, "n": 1}, {"max_tokens": MOST}, id="none-named"),
        pytest.param(CHAT, {"max_tokens": 7}, {"max_tokens": 7, "n": 1}, {"max_tokens": 7}, id="fewer"),
        pytest.param(CHAT, {"max_tokens": MOST}, {"max_tokens": MOST, "n": 1}, {"max_tokens": MOST}, id="the-most"),
        pytest.param(CHAT, {"max_tokens": None}, {"max_tokens": MOST, "n": 1}, {"max_tokens": MOST}, id="null"),
        pytest.param(CHAT, {"max_tokens": {}}, {"max_tokens": MOST, "n": 1}, {"max_tokens": MOST}, id="mapping"),
        pytest.param(CHAT, {"max_completion_tokens": 7}, {"max_completion_tokens": 7, "n": 1},
                     {"max_completion_tokens": 7, "max_tokens": 7}, id="by-a-name-that-not-all-upstreams-know"),
        pytest.param(
            CHAT, {"max_completion_tokens": 7, "max_tokens": 9, "n": 3},
            {"max_completion_tokens": 7, "max_tokens": 9, "n": 3},
            {"max_completion_tokens": 7, "max_tokens": 9, "n": 3}, id="both-names",
        ),
        pytest.param("/newer" + CHAT, {"max_tokens": 7}, {"max_tokens": 7, "n": 1},
                     {"max_completion_tokens": 7, "max_tokens": 7}, id="upstream-of-the-newer-name"),
        pytest.param("/newer" + CHAT, {}, {"max_tokens": MOST, "n": 1}, {"max_completion_tokens": MOST},
                     id="upstream-of-the-newer-name-none-named"),
        pytest.param("/either" + CHAT, {"max_completion_tokens": 7}, {"max_completion_tokens": 7, "n": 1},
                     {"max_completion_tokens": 7}, id="upstream-of-either-name"),
        pytest.param("/either" + CHAT, {}, {"max_tokens": MOST, "n": 1}, {"max_tokens": MOST},
                     id="upstream-of-either-name-none-named"),
        pytest.param("/v1/completions", {"prompt": "x"}, {"max_tokens": MOST, "n": 1},
                     {"prompt": "x", "max_tokens": MOST}, id="completions"),
        pytest.param("/v1/embeddings", {"input": ["a", "b"]}, {"n": 1}, {"input": ["a", "b"]}, id="embeddings"),
        pytest.param("/api/chat", {"options": {"num_predict": 7, "temperature": 0.5}}, {"num_predict": 7, "n": 1},
                     {"options": {"num_predict": 7, "temperature": 0.5}}, id="ollama"),
        pytest.param("/api/chat", {"options": {"stop": ["a", "%REQ(x)%"], "use_mmap": False}},
                     {"num_predict": MOST, "n": 1},
                     {"options": {"num_predict": MOST, "stop": ["a", "%REQ(x)%"], "use_mmap": False}},
                     id="ollama-none-named"),
        pytest.param("/api/chat", {}, {"num_predict": MOST, "n": 1}, {"options": {"num_predict": MOST}},
                     id="ollama-no-options"),
        pytest.param("/merged" + CHAT, {"model": "a", "max_tokens": 7}, {"max_tokens": 7, "n": 1},
                     {"model": "100%", "top_p": 0.5, "max_tokens": 7}, id="beside-a-merge"),
        pytest.param(CHAT, {"stream": False}, {"max_tokens": MOST, "n": 1}, {"stream": False, "max_tokens": MOST},
                     id="no-stream"),
        pytest.param(CHAT, {"stream": True}, {"max_tokens": MOST, "n": 1},
                     {"stream": True, "max_tokens": MOST, "stream_options": {"include_usage": True}}, id="stream"),
        pytest.param("/untold" + CHAT, {"stream": True}, {"max_tokens": MOST, "n": 1},
                     {"stream": True, "max_tokens": MOST}, id="stream-that-is-not-asked"),
    ],
)  # fmt: skip
def test_what_is_held_is_what_the_upstream_is_asked_for(
    stage: Stage, path: str, body: dict, held: dict, sent: dict
) -> None:
    told = stage.call(body, path)

    assert told.answer.status_code == 200
    assert (told.held, told.bodies) == (held, [sent])
    assert set(told.asked.numbers) == set(contract.NUMBERS_ASKED)
    assert told.asked.numbers["received"] == len(json.dumps(body))


UNCOUNTABLE = [
    pytest.param({"max_tokens": MOST + 1}, id="above-the-most"),
    pytest.param({"max_tokens": 0}, id="zero"),
    pytest.param({"max_tokens": -5}, id="negative"),
    pytest.param({"max_tokens": 5_000_000_000}, id="huge"),
    pytest.param({"max_tokens": 1e300}, id="beyond-counting"),
    pytest.param({"max_tokens": 10.7}, id="fraction"),
    pytest.param({"max_tokens": "7"}, id="text"),
    pytest.param({"max_tokens": True}, id="truth"),
    pytest.param({"max_tokens": 7, "max_completion_tokens": -1}, id="negative-beside-a-good-one"),
    pytest.param({"max_tokens": 7, "max_completion_tokens": 0.5}, id="fraction-beside-a-good-one"),
    pytest.param({"n": 0}, id="no-answers"),
    pytest.param({"n": 1.5}, id="answers-and-a-half"),
    pytest.param({"n": 129}, id="too-many-answers"),
    pytest.param({"n": "2"}, id="answers-as-text"),
    pytest.param({"N": 500}, id="answers-in-capitals"),
    pytest.param({"stream": "true"}, id="stream-as-text"),
    pytest.param({"stream": 1}, id="stream-as-number"),
    pytest.param({"max_tokens": 1, "n_predict": 500}, id="another-servers-name"),
    pytest.param({"max_tokens": 1, "best_of": 20}, id="answers-that-are-not-shown"),
    pytest.param({"max_tokens": 1, "n_cmpl": 20}, id="answers-by-another-servers-name"),
    pytest.param({"Max_Completion_Tokens": 500}, id="capitals"),
    pytest.param({"messages": [{"x": [1]}], "MAX_TOKENS": 500, "max_tokens": 1}, id="capitals-behind-other-things"),
    pytest.param(b'{"max_\\u0054okens" : 500}', id="capitals-in-escapes"),
    pytest.param({"max_tokens": 1, "max_to\u212aens": 500}, id="kelvin-sign"),
    pytest.param({"max_tokens": 1, "max_to\u212aEN\u017f": 500}, id="kelvin-sign-and-long-s"),
    pytest.param({"max_completion_tokens": 1, "max_completion_token\u017f": 500}, id="long-s"),
    pytest.param({"max_to\u212aens": None}, id="number-taken-away"),
    pytest.param('{"max_to\u212aens" : null}'.encode(), id="number-taken-away-in-utf-8"),
    pytest.param(b'{"max_\\u0074o\\u212Aens": null}', id="number-taken-away-in-escapes"),
    pytest.param(b'{"max_tokens": 1, "x": 18446744073709551615}', id="number-that-no-reader-takes"),
    pytest.param(b'{"max_tokens": 1, "x": "\\ud800"}', id="lone-surrogate"),
    pytest.param(b"{", id="no-json"),
]


@pytest.mark.parametrize("body", UNCOUNTABLE)
def test_what_cannot_be_counted_is_refused_before_anybody_is_asked(stage: Stage, body: Any) -> None:
    told = stage.call(body)

    assert told.answer.status_code == 400
    assert told.answer.json()["error"]["code"] == "invalid_request"
    assert f"1 to {MOST} tokens" in told.answer.json()["error"]["message"]
    assert (told.asked, told.bodies) == (None, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/completions", {"prompt": ["a", "b"]}, id="list-of-prompts"),
        pytest.param("/v1/completions", {}, id="no-prompt"),
        pytest.param("/api/chat", {"options": {"num_predict": -1}}, id="ollama-without-end"),
        pytest.param("/api/chat", {"option\u017f": {"num_predict": 500}}, id="options-by-another-letter"),
        pytest.param("/api/chat", {"option\u017f": None}, id="options-taken-away"),
    ],
)
def test_so_it_is_on_other_apis(stage: Stage, path: str, body: dict) -> None:
    told = stage.call(body, path)

    assert told.answer.status_code == 400
    assert (told.asked, told.bodies) == (None, [])


def test_texts_may_hold_any_letter(stage: Stage) -> None:
    body = {"messages": [{"content": '273 \u212a: Wach\u017ftube, "k": 1'}], "max_tokens": 7}

    assert stage.call(body).bodies == [body]


def test_readers_that_tell_no_case_apart_meet_what_was_counted_last(stage: Stage) -> None:
    """Of a key that stands twice they take the last."""
    told = stage.call({"STREAM_OPTIONS": {"include_usage": False}, "stream": True, "max_tokens": 7})

    assert list(told.bodies[0].items())[-1] == ("stream_options", {"include_usage": True})


def test_capitals_inside_of_what_stands_in_a_body_are_no_numbers(stage: Stage) -> None:
    schema = {"properties": {"MAX_TOKENS": {"type": "integer"}}}
    body = {"max_tokens": 7, "messages": [{"content": 'say "MAX_TOKENS": 5'}], "tools": [{"parameters": schema}]}

    assert stage.call(body).bodies == [body]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b'{"max_tokens": 1, "max_tokens": 99}', {}, id="repeated-key"),
        pytest.param(b'\xef\xbb\xbf{"max_tokens": 1}', {}, id="byte-order-mark"),
        pytest.param(b"[1]", {}, id="list"),
        pytest.param(b"{}", {"content-encoding": "gzip"}, id="encoded"),
    ],
)
def test_what_can_be_read_in_two_ways_reaches_no_upstream(stage: Stage, body: bytes, headers: dict) -> None:
    """The hold that was begun for it ends at once."""
    told = stage.call(body, **headers)

    assert (told.answer.status_code, told.bodies) == (400, [])
    assert told.answer.json()["error"]["code"] == "body_not_rewritten"
    assert stage.limiter.ended(told.request_id).numbers["status"] == 400


@pytest.mark.parametrize(
    ("answer", "body", "used"),
    [
        pytest.param("json", {}, (12, 30, 42, 5), id="json"),
        pytest.param("events", {"stream": True}, (12, 30, 42, 5), id="events-cut-in-two"),
        pytest.param("silent events", {"stream": True}, (0, 0, 0, 0), id="events-without-usage"),
        pytest.param("untold", {}, (0, 0, 0, 0), id="json-without-usage"),
        pytest.param("ollama", {}, (7, 9, 0, 0), id="ollamas-names"),
        pytest.param("odd", {}, (None, None, 55, 0), id="numbers-that-are-none"),
        pytest.param("zipped", {}, (0, 0, 0, 0), id="compressed-although-nobody-asked"),
        pytest.param("failed", {}, (0, 0, 0, 0), id="failed"),
    ],
)
def test_what_a_call_came_to_is_told_when_its_stream_has_ended(
    stage: Stage, answer: str, body: dict, used: tuple
) -> None:
    told = stage.call(body, **{ANSWER: answer})

    ended = stage.limiter.ended(told.request_id)
    assert tuple(ended.numbers.get(name) for name in contract.NUMBERS_USED) == used
    assert (ended.numbers["status"], ended.numbers["attempts"]) == (told.answer.status_code, 1)
    assert ended.numbers["received"] == len(json.dumps(body))
    assert ended.numbers["sent"] == int(told.answer.headers.get("content-length", len(told.answer.content)))


def test_both_calls_say_who_and_where(stage: Stage) -> None:
    told = stage.call({}, **{"x-request-id": "mine", "x-tollgate-subject": "mallory"})

    caller = {"route": "chat", "subject": "-", "tenant": "-", "consumer": "-", "plan": "-"}
    address = {"remote_address": "127.0.0.1"}
    assert told.asked.entries == (caller, address, {"hold": told.request_id})
    assert stage.limiter.ended(told.request_id).entries == ({"done": told.request_id, **caller}, address)
    assert told.request_id != "mine"


def test_a_client_that_leaves_is_charged_for_what_it_was_sent(stage: Stage) -> None:
    headers = {"content-type": "application/json", ANSWER: "endless events"}
    with stage.client.stream("POST", CHAT, content=b'{"stream":true}', headers=headers) as answer:
        request_id = answer.headers["x-request-id"]
        next(answer.iter_bytes(len(WORDS)))

    numbers = stage.limiter.ended(request_id).numbers
    assert numbers["total"] == 0
    assert numbers["sent"] >= len(WORDS)
    assert numbers["status"] == 200


@pytest.mark.parametrize(("path", "attempts"), [("/busy", None), (CHAT, 0)], ids=["counted", "metered"])
def test_a_client_that_leaves_while_it_is_decided_is_told_of_too(stage: Stage, path: str, attempts: int | None) -> None:
    """Or it would hold for an hour what the limiter took just then, of a pot that others share."""
    before, left = len(stage.limiter.calls), threading.Event()

    def waits(call: Call) -> rls_pb2.RateLimitResponse:
        assert call.ends or left.wait(10)
        return admits(call)

    stage.limiter.says = waits
    head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    with socket.create_connection(("127.0.0.1", stage.client.base_url.port)) as client:
        client.sendall(head.encode())
        asked = until(lambda: next((call for call in stage.limiter.calls[before:] if not call.ends), None))
    try:
        numbers = stage.limiter.ended(asked.hold).numbers
        assert (numbers["status"], numbers.get("attempts")) == (0, attempts)
    finally:
        left.set()


def test_upstreams_are_not_asked_for_what_cannot_be_read(stage: Stage) -> None:
    stage.call({}, **{"accept-encoding": "gzip"})

    assert "accept-encoding" not in stage.model.headers[-1]


def test_a_call_that_only_runs_is_told_without_tokens(stage: Stage) -> None:
    told = stage.call({}, "/busy")

    assert told.asked.numbers == {}
    assert stage.limiter.ended(told.request_id).numbers.keys() == {"received", "sent", "status"}


def test_a_call_that_holds_nothing_makes_one_call(stage: Stage) -> None:
    told = stage.call({}, "/plain")

    made = [call for call in stage.limiter.calls if call.entry("route") == "plain"]
    assert [(call.ends, call.numbers) for call in made] == [(False, {})]
    assert stage.row(told.request_id)["hold"] is None


def test_a_route_that_nothing_counts_keeps_its_bounds_and_its_log(stage: Stage) -> None:
    told = stage.call({}, "/free" + CHAT)
    refused = stage.call({"max_tokens": MOST + 1}, "/free" + CHAT)

    assert (told.asked, told.bodies) == (None, [{"max_tokens": MOST}])
    assert refused.answer.status_code == 400
    assert stage.row(told.request_id)["tokens_total"] == 42


def refuses(**metadata: Any) -> rls_pb2.RateLimitResponse:
    response = rls_pb2.RateLimitResponse(overall_code=OVER_LIMIT)
    response.response_headers_to_add.add(key="retry-after", value="60")
    response.dynamic_metadata.update(metadata)
    return response


QUOTA = {
    "rule": "consumer/one:month", "usage": "usd", "used": 4.5, "limit": 5, "window": "month",
    "resets_at": "2026-12-01T00:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "code", "more"),
    [
        pytest.param("limit", 429, "rate_limited", {}, id="limit"),
        pytest.param("quota", 402, "quota_exceeded", {"quota": QUOTA}, id="quota"),
        pytest.param("request", 400, "invalid_request", {}, id="request"),
        pytest.param("caller", 403, "caller_not_countable", {}, id="caller"),
    ],
)
def test_refusals_have_their_status_and_what_they_are_about(
    stage: Stage, kind: str, status: int, code: str, more: dict
) -> None:
    """Numbers stay numbers; the stream's end tells the status that the client saw, and nothing used."""
    stage.limiter.says = lambda call: admits(call) if call.ends else refuses(kind=kind, message="no more", **QUOTA)

    told = stage.call({})

    error = {"code": code, "message": "no more", "request_id": told.request_id, **more}
    assert (told.answer.status_code, told.answer.json()) == (status, {"error": error})
    assert (told.answer.headers["retry-after"], told.bodies) == ("60", [])
    ended = stage.limiter.ended(told.request_id)
    assert (ended.numbers["status"], ended.numbers["total"]) == (status, 0)


def test_what_the_limiter_says_of_a_hold_comes_back_and_stands_in_the_log(stage: Stage) -> None:
    def says(call: Call) -> rls_pb2.RateLimitResponse:
        response = admits(call)
        if not call.ends:
            response.dynamic_metadata.update({contract.LIMIT_HELD: 100, contract.LIMIT_WOULD_REFUSE: "plan/p:month"})
        return response

    stage.limiter.says = says

    told = stage.call({"model": "m" * 200})

    assert stage.limiter.ended(told.request_id).numbers["held"] == 100
    row = stage.row(told.request_id)
    assert {key: row[key] for key in ("hold", "model", "would_limit", "tokens_held", "cost", "usage")} == {
        "hold": told.request_id, "model": "m" * 128, "would_limit": "plan/p:month", "tokens_held": 100,
        "cost": 1, "usage": None,
    }  # fmt: skip
    assert [row[f"tokens_{part}"] for part in ("in", "out", "total", "cached")] == [12, 30, 42, 5]
    assert [row["price_in"], row["price_out"]] == [500_000, 1_500_000]
    assert len(row["policy"]) == 12


def test_a_limiter_that_is_away_refuses(stage: Stage) -> None:
    def away(_call: Call) -> rls_pb2.RateLimitResponse:
        raise RuntimeError("no store")

    stage.limiter.says = away

    told = stage.call({})

    assert (told.answer.status_code, told.bodies) == (503, [])
