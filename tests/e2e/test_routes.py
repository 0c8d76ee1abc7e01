"""Which route serves a request, what becomes of it on the way, and who answers, through the real gateway."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.ports import free_port
from tests.support.upstream import Upstream, running_upstream

TOKEN = "a-bearer-token-for-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
TRIES = 40


@dataclass(frozen=True)
class Place:
    """A gateway before two upstreams; a third fails every call, a fourth is not there."""

    gateway: Gateway
    first: Upstream
    second: Upstream
    failing: Upstream

    def get(self, path: str, **options: Any) -> httpx.Response:
        with self.gateway.client() as client:
            return client.get(path, **options)


def told(name: str, path: str, match: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A route whose answers name it."""
    return {
        "name": name,
        "match": {"path": path, **(match or {})},
        "upstream": "first",
        "response_headers": {"set": {"x-route": name}},
        **changes,
    }


def matching() -> list[dict[str, Any]]:
    return [
        told("template", "/m/{id}"),
        told("literal", "/m/me"),
        told("below", "/m/{id}/*"),
        {**told("digits", "/"), "match": {"path_regex": "/m/[0-9]+/x[0-9]"}},
        told("everything", "/m/*"),
        told("plain", "/h"),
        told("exact", "/h", {"headers": {"x-k": "One"}}),
        told("two-tests", "/h", {"headers": {"x-k": "One", "x-l": {"present": True}}}),
        told("posted", "/h", {"methods": ["POST"]}),
        told("no-parameter", "/q", {"query": {"a": {"present": False}}}),
        told("parameter", "/q", {"query": {"a": {"prefix": "b%20"}}, "priority": 1}),
        told("any-parameter", "/q", {"query": {"a": {"present": True}}}),
        {**told("number", "/"), "match": {"path_regex": "/p/[0-9]+"}},
        {**told("odd", "/"), "match": {"path_regex": "/p/[0-9]*[13579]", "priority": 1}},
    ]


def config(first: Upstream, second: Upstream, failing: Upstream) -> dict[str, Any]:
    dead = f"http://127.0.0.1:{free_port()}"
    retried = {"attempts": 2, "on": [503, "reset"], "per_try_timeout": "300ms", "backoff": "1ms", "max_backoff": "2ms"}
    return {
        "defaults": {"auth": "none"},
        "identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN, "plan": "small"}]},
        "plans": {"small": {"limits": [{"requests": "2/hour"}]}},
        "upstreams": {
            "first": {"url": first.url},
            "second": {"url": second.url, "host_header": "second.example.com"},
            "deep": {"url": f"{first.url}/base"},
            "failing": {"url": failing.url},
            "dead": {"url": dead, "health_check": "none"},
            "half-dead": {"endpoints": [dead, first.url], "health_check": "none"},
            "either": {"endpoints": [first.url, second.url], "host_header": "upstream"},
            "hashed": {
                "endpoints": [first.url, second.url],
                "load_balancing": {"policy": "maglev", "hash_by": "header x-user"},
            },
        },
        "routes": [
            *matching(),
            {"name": "turned", "match": {"path": "/t/{a}/{b}/*"}, "upstream": "first", "rewrite": "/{b}/{a}"},
            {"name": "based", "match": {"path": "/based/*"}, "upstream": "deep", "rewrite": "/"},
            {"name": "replaced", "match": {"path": "/r/*"}, "upstream": "first",
             "rewrite_regex": {"pattern": "^/r/([a-z]+)-", "substitution": r"/\1/"}},
            {"name": "split", "match": {"path": "/split"},
             "upstream": [{"name": "first", "weight": 1}, {"name": "second", "weight": 1}]},
            {"name": "never", "match": {"path": "/never"},
             "upstream": [{"name": "first", "weight": 1}, {"name": "second", "weight": 0}]},
            {"name": "copied", "match": {"path": "/copied"}, "upstream": "first", "mirror": {"upstream": "second"}},
            {"name": "copied-socket", "match": {"path": "/copied-socket/*"}, "upstream": "first", "rewrite": "/",
             "websocket": True, "mirror": {"upstream": "second"}},
            {"name": "hosted", "match": {"path": "/hosted"}, "upstream": "second"},
            {"name": "either", "match": {"path": "/either"}, "upstream": "either"},
            {"name": "socket", "match": {"path": "/socket"}, "rewrite": "/ws", "websocket": True, "retries": {},
             "upstream": [{"name": "first", "weight": 1}, {"name": "second", "weight": 1}]},
            {"name": "counted", "match": {"path": "/counted/*"}, "upstream": "first",
             "response_headers": {"remove": ["x-powered-by", "x-both"], "add": {"vary": "b", "x-both": "ours"}}},
            {"name": "hashed", "match": {"path": "/hashed"}, "upstream": "hashed"},
            {"name": "moved", "match": {"path": "/old/{id}/*"}, "redirect": {"path": "/new/{id}", "status": 301}},
            {"name": "bare", "match": {"path": "/bare"}, "redirect": {"path": "/", "strip_query": True}},
            {"name": "away", "match": {"path": "/away"},
             "redirect": {"host": "b.example.com", "scheme": "https", "port": 443, "status": 302}},
            {"name": "own-redirect", "match": {"path": "/own-redirect"}, "redirect": {"path": "/"}, "auth": ["bearer"]},
            {"name": "said", "match": {"path": "/said"}, "respond": {"body": "100% %REQ(:path)%"}},
            {"name": "gone", "match": {"path": "/gone"},
             "respond": {"status": 410, "body": '{"gone": true}', "content_type": "application/problem+json"}},
            {"name": "empty", "match": {"path": "/empty"}, "respond": {"status": 404}},
            {"name": "own-answer", "match": {"path": "/own-answer"}, "respond": {"body": "yours"}, "auth": ["bearer"]},
            {"name": "changed", "match": {"path": "/changed"}, "upstream": "first",
             "request_headers": {"remove": ["x-drop", "x-forwarded-for"], "set": {"x-set": "100%"},
                                 "add": {"x-add": "ours", "x-drop": "again"}},
             "response_headers": {"remove": ["x-powered-by"], "set": {"content-type": "text/x"},
                                  "add": {"vary": "a"}}},
            {"name": "guarded", "match": {"path": "/guarded"}, "upstream": "first", "auth": ["bearer"],
             "response_headers": {"set": {"x-frame-options": "DENY"}}},
            {"name": "dead", "match": {"path": "/dead"}, "upstream": "dead",
             "response_headers": {"set": {"x-frame-options": "DENY", "content-type": "text/html"}}},
            {"name": "retried", "match": {"path": "/retried"}, "upstream": "failing", "retries": retried,
             "limits": [{"requests": "2/hour", "per": "route"}]},
            {"name": "retried-post", "match": {"path": "/retried-post"}, "upstream": "failing", "retries": retried},
            {"name": "retried-silence", "match": {"path": "/silence/*"}, "upstream": "first", "rewrite": "/silent",
             "retries": retried},
            {"name": "retried-stream", "match": {"path": "/slow-start/*"}, "upstream": "first", "rewrite": "/silent",
             "retries": {**retried, "per_try_timeout": "10s"}, "streaming": True, "timeout": "300ms"},
            {"name": "elsewhere", "match": {"path": "/elsewhere"}, "upstream": "half-dead", "retries": {}},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with running_upstream() as first, running_upstream() as second, running_upstream() as failing:
        failing.status = 503
        with running_gateway(config(first, second, failing)) as gateway:
            yield Place(gateway, first, second, failing)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/m/me", "literal", id="an exact path before a template"),
        pytest.param("/m/you", "template", id="a template"),
        pytest.param("/m/you/x", "below", id="below a template"),
        pytest.param("/m/7/x1", "digits", id="an expression before a prefix"),
        pytest.param("/m/7/x1?y=1", "digits", id="an expression sees no query"),
        pytest.param("/m/7/x12", "below", id="an expression takes the whole path"),
        pytest.param("/m/%6De", "literal", id="the path in its normal form"),
        pytest.param("/m", "everything", id="no empty variable"),
        pytest.param("/m/", "everything", id="no empty segment"),
        pytest.param("/q", "no-parameter", id="no parameter"),
        pytest.param("/q?a=b%20c", "parameter", id="a parameter as it is sent"),
        pytest.param("/q?a=b+c", "any-parameter", id="a parameter in other signs"),
        pytest.param("/q?a=x&a=b%20c", "any-parameter", id="a repeated parameter counts once"),
        pytest.param("/q?a", "any-parameter", id="a parameter without a value"),
        pytest.param("/p/12", "number", id="priority of what does not match"),
        pytest.param("/p/13", "odd", id="priority"),
    ],
)
def test_the_most_specific_route_serves(place: Place, path: str, expected: str):
    assert place.get(path).headers["x-route"] == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([], "plain", id="none"),
        pytest.param([("x-k", "One")], "exact", id="the value"),
        pytest.param([("x-k", "one")], "plain", id="in other letters"),
        pytest.param([("X-K", "One")], "exact", id="a name in other letters"),
        pytest.param([("x-k", "One"), ("x-k", "Two")], "exact", id="one of two"),
        pytest.param([("x-k", "Two"), ("x-k", "One")], "exact", id="the other of two"),
        pytest.param([("x-k", "One, Two")], "plain", id="a list is one value"),
        pytest.param([("x-k", "One"), ("x-l", "")], "two-tests", id="present and empty"),
    ],
)
def test_headers_decide(place: Place, headers: list[tuple[str, str]], expected: str):
    assert place.get("/h", headers=headers).headers["x-route"] == expected


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        pytest.param("/t/1/2", "/2/1", id="variables"),
        pytest.param("/t/1/2/x/y", "/2/1/x/y", id="variables of a prefix"),
        pytest.param("/t/a%20b/2", "/2/a%20b", id="an escape stays one"),
        pytest.param("/based/x", "/base/x", id="the path of the upstream's address"),
        pytest.param("/based", "/base/", id="that path alone"),
        pytest.param("/r/abc-d-e", "/abc/d-e", id="a group"),
        pytest.param("/r/ABC", "/r/ABC", id="an expression that does not match"),
    ],
)
def test_the_upstream_gets_the_path_that_the_route_makes(place: Place, path: str, reached: str):
    assert place.get(path).json()["path"] == reached


def test_shares(place: Place):
    ports = Counter(place.get("/split").json()["port"] for _ in range(TRIES))
    never = Counter(place.get("/never").json()["port"] for _ in range(TRIES))

    assert set(ports) == {place.first.port, place.second.port}
    assert set(never) == {place.first.port}


def test_each_share_has_its_own_host_and_the_log_has_the_clients(place: Place):
    seen = {}
    for _ in range(TRIES):
        response = place.get("/split", headers={"host": "api.example.com"})
        headers = dict(response.json()["headers"])
        seen[response.json()["port"]] = (headers["host"], headers.get("x-forwarded-host"))
        row = place.gateway.logged(response.headers["x-request-id"])
        assert (row["host"], row["route"]) == ("api.example.com", "split")

    assert seen == {
        place.first.port: ("api.example.com", None),
        place.second.port: ("second.example.com", "api.example.com"),
    }


def test_an_upstream_with_a_host_of_its_own(place: Place):
    response = place.get("/hosted", headers={"host": "api.example.com", "x-forwarded-host": "spoofed.example.com"})

    headers = dict(response.json()["headers"])
    assert (headers["host"], headers["x-forwarded-host"]) == ("second.example.com", "api.example.com")
    assert place.gateway.logged(response.headers["x-request-id"])["host"] == "api.example.com"


def test_each_endpoint_by_its_own_name(place: Place):
    answers = [place.get("/either", headers={"host": "api.example.com"}).json() for _ in range(10)]

    found = {(answer["port"], dict(answer["headers"])["host"]) for answer in answers}
    assert found == {(port, f"127.0.0.1:{port}") for port in (place.first.port, place.second.port)}


def test_a_websocket_to_one_of_several_upstreams(place: Place):
    with connect(f"ws://127.0.0.1:{place.gateway.port}/socket") as socket:
        socket.send("hello")
        assert socket.recv() == "echo: hello"


def test_a_copy_goes_to_the_mirror_and_its_answer_nowhere(place: Place):
    before = place.second.served

    response = place.get("/copied")

    assert response.json()["port"] == place.first.port
    assert until(lambda: place.second.served - before) == 1


def test_a_websocket_is_copied_like_a_request(place: Place):
    before = place.second.served
    with connect(f"ws://127.0.0.1:{place.gateway.port}/copied-socket/ws", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv() == "echo: hello"
        assert until(lambda: place.second.served - before) == 1

    assert place.get("/copied-socket/plain").json()["port"] == place.first.port
    assert until(lambda: place.second.served - before > 1)


def test_one_user_stays_at_one_endpoint(place: Place):
    users = {str(user): place.get("/hashed", headers={"x-user": str(user)}).json()["port"] for user in range(20)}

    assert set(users.values()) == {place.first.port, place.second.port}
    for user, port in users.items():
        assert place.get("/hashed", headers={"x-user": user}).json()["port"] == port


@pytest.mark.parametrize(
    ("path", "host", "status", "location"),
    [
        pytest.param("/old/7/x?y=1", "a.com", 301, "http://a.com/new/7/x?y=1", id="path"),
        pytest.param("/old/7", "a.com:88", 301, "http://a.com:88/new/7", id="the client's port"),
        pytest.param("/bare?y=1", "a.com", 308, "http://a.com/", id="no query"),
        pytest.param("/away?y=1", "a.com:88", 302, "https://b.example.com/away?y=1", id="elsewhere"),
    ],
)
def test_redirects(place: Place, path: str, host: str, status: int, location: str):
    response = place.get(path, headers={"host": host})

    assert (response.status_code, response.headers["location"], response.text) == (status, location, "")
    row = place.gateway.logged(response.headers["x-request-id"])
    assert (row["upstream"], row["status"]) == (None, status)


@pytest.mark.parametrize(
    ("path", "status", "content_type", "body"),
    [
        pytest.param("/said", 200, "text/plain; charset=utf-8", "100% %REQ(:path)%", id="literally"),
        pytest.param("/gone", 410, "application/problem+json", '{"gone": true}', id="an error as it is written"),
        pytest.param("/empty", 404, None, "", id="no body"),
    ],
)
def test_answers_of_the_gateway(place: Place, path: str, status: int, content_type: str | None, body: str):
    response = place.get(path)

    assert (response.status_code, response.headers.get("content-type"), response.text) == (status, content_type, body)
    assert place.gateway.logged(response.headers["x-request-id"])["upstream"] is None


@pytest.mark.parametrize(("path", "status"), [("/own-redirect", 308), ("/own-answer", 200)])
def test_an_answer_may_want_a_credential_and_is_not_counted(place: Place, path: str, status: int):
    refused = place.get(path)
    allowed = [place.get(path, headers=BEARER) for _ in range(4)]

    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "missing_credential")
    assert [response.status_code for response in allowed] == [status] * 4
    assert not any("ratelimit-limit" in response.headers for response in allowed)
    assert place.gateway.logged(allowed[0].headers["x-request-id"])["subject"] == "ops"


def test_changes_of_headers(place: Place):
    response = place.get("/changed", headers={"x-set": "client", "x-add": "client", "x-drop": "client"})

    pairs = [tuple(pair) for pair in response.json()["headers"]]
    assert [pair for pair in pairs if pair[0] in ("x-set", "x-add", "x-drop", "x-forwarded-for")] == [
        ("x-add", "client"),
        ("x-set", "100%"),
        ("x-add", "ours"),
        ("x-drop", "again"),
    ]
    assert (response.headers["content-type"], response.headers["vary"]) == ("text/x", "a")


def test_what_an_upstream_sends_may_be_removed_and_added_to(place: Place):
    response = place.get("/counted/x?x-powered-by=php&vary=a&x-both=theirs")

    assert "x-powered-by" not in response.headers
    assert response.headers.get_list("vary", split_commas=True) == ["a", "b"]
    assert response.headers.get_list("x-both") == ["ours"]


def test_changes_of_answers_hold_for_errors_of_the_route_too(place: Place):
    refused, unreachable = place.get("/guarded"), place.get("/dead")

    assert [(item.status_code, item.headers["x-frame-options"]) for item in (refused, unreachable)] == [
        (401, "DENY"),
        (502, "DENY"),
    ]
    assert {item.headers["content-type"] for item in (refused, unreachable)} == {"application/json"}


def test_tries_count_as_one_request(place: Place):
    before = place.failing.served

    responses = [place.get("/retried") for _ in range(3)]

    assert [response.status_code for response in responses] == [503, 503, 429]
    assert place.failing.served - before == 6
    row = place.gateway.logged(responses[0].headers["x-request-id"])
    assert (row["attempts"], row["status"]) == (3, 503)


def test_a_method_that_is_not_named_is_tried_once(place: Place):
    with place.gateway.client() as client:
        response = client.post("/retried-post", content=b"once")

    assert response.status_code == 503
    assert place.gateway.logged(response.headers["x-request-id"])["attempts"] == 1


@pytest.mark.parametrize("path", ["/silence/5", "/slow-start/5"], ids=["per_try_timeout", "first byte of a stream"])
def test_silence_is_tried_again(place: Place, path: str):
    response = place.get(path)

    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert place.gateway.logged(response.headers["x-request-id"])["attempts"] == 3


def test_a_timeout_of_grpc_is_the_upstreams(place: Place):
    response = place.get("/silence/0.1", headers={"content-type": "application/grpc", "grpc-timeout": "10m"})

    assert response.json() == {"late": True}
    row = place.gateway.logged(response.headers["x-request-id"])
    assert (row["status"], row["attempts"]) == (200, 1)


def test_another_try_goes_to_another_endpoint(place: Place):
    responses = [place.get("/elsewhere") for _ in range(10)]

    assert {response.status_code for response in responses} == {200}
    attempts = {place.gateway.logged(item.headers["x-request-id"])["attempts"] for item in responses}
    # Endpoints take turns by tries: from the first request on that meets the dead one, each meets it first.
    assert 2 in attempts
    assert attempts <= {1, 2}
