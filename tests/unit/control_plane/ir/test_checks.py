"""Mistakes of meaning: what is refused, and what only looks like one. The golden cases show the full messages."""

from typing import Any

import pytest

from control_plane.config.errors import InvalidConfig
from tests.support.compiled import IDENTITY, TOKEN, compiled, config, private, route

LIMIT = {"requests": "60/minute", "per": "ip"}


def mistakes(**changes: Any) -> list[str]:
    """The paths of the mistakes in this configuration."""
    try:
        compiled(config(**{"identity": IDENTITY, **changes}))
    except InvalidConfig as error:
        return ["/".join(map(str, item.path)) for item in error.errors]
    return []


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param([route(path="/health")], ["routes/0/match/path"], id="a-probe"),
        pytest.param([route(path="/readyz/*")], ["routes/0/match/path"], id="everything-below-a-probe"),
        pytest.param([route(path="/healthy")], [], id="not-quite-a-probe"),
        pytest.param([route(path="/*")], [], id="everything"),
        pytest.param(
            [route(websocket=True, methods=["POST"])], ["routes/0/match/methods"], id="a-websocket-without-get"
        ),
        pytest.param([route(websocket=True, methods=["GET", "POST"])], [], id="a-websocket-with-get"),
        pytest.param([route(), route()], ["routes/1/name"], id="the-same-name"),
        pytest.param([route("a"), route("b")], ["routes/1/match"], id="the-same-requests"),
        pytest.param([route("a", "/a"), route("b", "/a/*")], [], id="an-exact-path-and-its-prefix"),
        pytest.param([route(auth=["jwt"])], ["routes/0/auth"], id="no-issuer"),
        pytest.param([route(require={"roles": ["r"]})], ["routes/0/require"], id="a-role-of-nobody"),
        pytest.param([route(limits=[{"requests": "1/second"}])], ["routes/0/limits/0"], id="a-subject-of-nobody"),
        pytest.param(
            [route(limits=[{"requests": "1/second", "per": ["ip", "tenant"]}])],
            ["routes/0/limits/0"],
            id="one-dimension-of-nobody",
        ),
        pytest.param([route(limits=[{"requests": "1/second", "per": ["ip", "route"]}])], [], id="an-address"),
        pytest.param([route(limits=[LIMIT, LIMIT])], ["routes/0/limits/1"], id="a-limit-twice"),
        pytest.param(
            [route(limits=[{**LIMIT, "per": ["ip", "route"]}, {**LIMIT, "per": ["route", "ip"]}])],
            ["routes/0/limits/1"],
            id="a-limit-twice-in-other-words",
        ),
        pytest.param([route(limits=[LIMIT, {**LIMIT, "requests": "60/hour"}])], [], id="two-periods"),
    ],
)
def test_routes(routes: list[dict[str, Any]], expected: list[str]) -> None:
    assert mistakes(routes=routes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"defaults": {"plan": "gone"}}, ["defaults/plan"], id="default-plan"),
        pytest.param({"consumers": [{"name": "a", "plan": "gone"}]}, ["consumers/0/plan"], id="plan-of-a-consumer"),
        pytest.param(
            {"identity": {"bearer_tokens": [{"name": "a", "token": TOKEN, "consumer": "gone"}]}},
            ["identity/bearer_tokens/0/consumer"],
            id="consumer-of-a-token",
        ),
        pytest.param(
            {"identity": {"bearer_tokens": [{"name": "a", "token": TOKEN}, {"name": "b", "token": TOKEN}]}},
            ["identity/bearer_tokens/1/token"],
            id="one-token-for-two",
        ),
        pytest.param(
            {"listeners": {"a": {"address": "127.0.0.1:8801"}}}, ["listeners/a/address"], id="the-admins-address"
        ),
        pytest.param({"listeners": {"a": {"address": "0.0.0.0:8801"}}}, ["listeners/a/address"], id="a-wildcard"),
        pytest.param(
            {"listeners": {"a": {"address": "0.0.0.0:80"}, "b": {"address": "[::]:80"}}}, [], id="two-families"
        ),
        pytest.param(
            {"defaults": {"auth": ["jwt"]}, "routes": [private(auth=["bearer"])]}, [], id="a-default-nobody-uses"
        ),
    ],
)
def test_everything_else(changes: dict[str, Any], expected: list[str]) -> None:
    assert mistakes(**{"routes": [], **changes}) == expected


def test_a_message_never_quotes_a_token() -> None:
    tokens = [{"name": "a", "token": TOKEN}, {"name": "b", "token": TOKEN}]

    with pytest.raises(InvalidConfig) as refused:
        compiled(config(identity={"bearer_tokens": tokens}, routes=[]))

    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("/a.*", [], id="slash"),
        pytest.param(".*a", [], id="anything"),
        pytest.param("(/a|/b)", [], id="alternatives"),
        pytest.param("a.*", ["routes/0/match/path_regex"], id="no-slash"),
        pytest.param("https://.*", ["routes/0/match/path_regex"], id="a-url"),
    ],
)
def test_expressions_for_paths(expression: str, expected: list[str]) -> None:
    written = {**route(), "match": {"path_regex": expression}}

    assert mistakes(routes=[written]) == expected


SHADOW = {"url": "http://127.0.0.1:9002"}
UPSTREAMS = {"email": {"url": "http://127.0.0.1:9001"}, "other": SHADOW}
SHARES = [{"name": "email", "weight": 1}, {"name": "other", "weight": 1}]


def answered(**answer: Any) -> dict[str, Any]:
    """A route on which the gateway answers by itself."""
    written = route(**answer)
    del written["upstream"]
    return written


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=key)
        for key, value in {
            "rewrite": "/a",
            "rewrite_regex": {"pattern": "a", "substitution": "b"},
            "mirror": {"upstream": "email"},
            "limits": [LIMIT],
            "request_headers": {"set": {"x-a": "1"}},
            "retries": {},
            "timeout": "1s",
            "streaming": True,
            "websocket": True,
            "idle_timeout": "1s",
            "max_duration": "1s",
            "body_limit": "1KiB",
        }.items()
    ],
)
@pytest.mark.parametrize(
    "answer", [{"redirect": {"path": "/b"}}, {"respond": {"body": "b"}}], ids=["redirect", "respond"]
)
def test_keys_that_nothing_acts_on(answer: dict[str, Any], key: str, value: Any) -> None:
    assert mistakes(routes=[answered(**answer, **{key: value})]) == [f"routes/0/{key}"]


@pytest.mark.parametrize(
    "answer", [{"redirect": {"path": "/b"}}, {"respond": {"body": "b"}}], ids=["redirect", "respond"]
)
def test_keys_that_hold_whoever_answers(answer: dict[str, Any]) -> None:
    kept = {
        "require": {"roles": ["r"]},
        "allow_ips": ["10.0.0.0/8"],
        "response_headers": {"set": {"x-a": "1"}},
    }

    assert mistakes(routes=[{**answered(**answer), "auth": ["bearer"], **kept}]) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"upstream": SHARES}, [], id="shares"),
        pytest.param({"upstream": [*SHARES, SHARES[0]]}, ["upstream/2/name"], id="one-twice"),
        pytest.param({"upstream": [{"name": "email", "weight": 0}]}, ["upstream"], id="nobody"),
        pytest.param({"upstream": [{"name": "emial", "weight": 1}]}, ["upstream/0/name"], id="unknown"),
        pytest.param({"mirror": {"upstream": "emial"}}, ["mirror/upstream"], id="unknown-mirror"),
        pytest.param({"path": "/{a}", "rewrite": "/{b}"}, ["rewrite"], id="unknown-variable"),
        pytest.param({"path": "/{a}/*", "rewrite": "/{a}"}, [], id="variable"),
        pytest.param(
            {"path": "".join(f"/{{v{n}}}" for n in range(9)), "rewrite": "".join(f"/{{v{n}}}" for n in range(9))},
            ["rewrite"],
            id="more-variables-than-groups",
        ),
        pytest.param(
            {"rewrite_regex": {"pattern": "^/(a)", "substitution": r"/\2"}}, ["rewrite_regex/substitution"], id="group"
        ),
        pytest.param({"rewrite_regex": {"pattern": "^/(a)", "substitution": r"/\1"}}, [], id="known-group"),
        pytest.param(
            {"rewrite_regex": {"pattern": "^/a", "substitution": "a"}}, ["rewrite_regex/substitution"], id="^/"
        ),
        pytest.param(
            {"rewrite_regex": {"pattern": ".*", "substitution": "a"}}, ["rewrite_regex/substitution"], id=".*"
        ),
        pytest.param(
            {"rewrite_regex": {"pattern": "x*", "substitution": "a"}}, ["rewrite_regex/substitution"], id="x*"
        ),
        pytest.param({"rewrite_regex": {"pattern": "^/a", "substitution": r"\0b"}}, [], id="slash-kept"),
        pytest.param({"rewrite_regex": {"pattern": "[a-z]+", "substitution": "a"}}, [], id="no-slash-touched"),
        pytest.param({"headers": {"host": "a"}}, ["match/headers/host"], id="host-as-header"),
        pytest.param({"headers": {"x-tollgate-plan": "a"}}, ["match/headers/x-tollgate-plan"], id="internal"),
        pytest.param({"headers": {"x-envoy-a": "a"}}, ["match/headers/x-envoy-a"], id="envoys"),
        pytest.param({"headers": {"authorization": "a"}}, ["match/headers/authorization"], id="credential"),
        pytest.param({"headers": {"x-forwarded-proto": "a"}}, ["match/headers/x-forwarded-proto"], id="scheme"),
        pytest.param({"headers": {"content-length": "1"}}, ["match/headers/content-length"], id="framing"),
        pytest.param({"headers": {"x-tollgates": "a", "cookie": "a"}}, [], id="the-clients"),
        pytest.param({"headers": {"x-a": " a"}}, ["match/headers/x-a"], id="space-before-a-value"),
        pytest.param({"headers": {"x-a": {"prefix": "a "}}}, [], id="space-inside-a-value"),
        pytest.param({"mirror": {"upstream": "other"}, "websocket": True}, [], id="copies-of-a-websocket"),
        pytest.param({"websocket": True, "body_limit": "1MiB"}, ["body_limit"], id="size-of-a-websocket"),
        pytest.param({"cost": 2}, ["cost"], id="cost-that-nobody-counts"),
        pytest.param({"cost": 2, "limits": [{"requests": "5/minute", "per": "ip"}]}, [], id="cost-that-is-counted"),
        pytest.param({"timeout": "5s", "retries": {"per_try_timeout": "4s"}}, [], id="shorter-try"),
        pytest.param(
            {"timeout": "5s", "retries": {"per_try_timeout": "5s"}}, ["retries/per_try_timeout"], id="try-of-the-whole"
        ),
        pytest.param({"retries": {"per_try_timeout": "31s"}}, ["retries/per_try_timeout"], id="longer-than-default"),
        pytest.param({"streaming": True, "retries": {"per_try_timeout": "40s"}}, [], id="try-of-a-stream"),
        pytest.param(
            {"rewrite_regex": {"pattern": "-", "substitution": ""}}, ["rewrite_regex/substitution"], id="dots-meet"
        ),
        pytest.param(
            {"rewrite_regex": {"pattern": "^/([a-z.]+)-([a-z.]+)", "substitution": r"/\1\2"}},
            ["rewrite_regex/substitution"],
            id="groups-meet",
        ),
        pytest.param(
            {"rewrite_regex": {"pattern": "^/d/(.*)", "substitution": "/$1"}},
            ["rewrite_regex/substitution"],
            id="dollar",
        ),
        pytest.param({"query": {"a": "b c"}}, ["match/query/a"], id="space-in-a-query"),
        pytest.param({"query": {"a": {"prefix": "b&"}}}, ["match/query/a/prefix"], id="ampersand-in-a-query"),
        pytest.param({"query": {"a b": "c"}}, ["match/query/a b"], id="space-in-a-parameters-name"),
        pytest.param({"query": {"a": "b%20=c", "d": {"regex": "b c"}}}, [], id="as-it-is-sent"),
        pytest.param({"request_headers": {"set": {"host": "a"}}}, ["request_headers/set/host"], id="set-host"),
        pytest.param({"request_headers": {"add": {"te": "a"}}}, ["request_headers/add/te"], id="add-te"),
        pytest.param(
            {"request_headers": {"remove": ["x-a", "x-tollgate-subject"]}}, ["request_headers/remove/1"], id="identity"
        ),
        pytest.param(
            {"request_headers": {"set": {"authorization": "a"}}}, ["request_headers/set/authorization"], id="secret"
        ),
        pytest.param(
            {"request_headers": {"remove": ["authorization", "x-forwarded-for"], "set": {"x-a": "1"}}}, [], id="allowed"
        ),
        pytest.param(
            {"request_headers": {"set": {"x-forwarded-for": "a"}}}, ["request_headers/set/x-forwarded-for"], id="lie"
        ),
        pytest.param({"response_headers": {"set": {"server": "a"}}}, ["response_headers/set/server"], id="server"),
        pytest.param({"response_headers": {"remove": ["connection"]}}, ["response_headers/remove/0"], id="connection"),
        pytest.param({"response_headers": {"remove": ["set-cookie"], "add": {"vary": "a"}}}, [], id="the-upstreams"),
    ],
)
def test_what_a_route_says(changes: dict[str, Any], expected: list[str]) -> None:
    assert mistakes(upstreams=UPSTREAMS, routes=[route(**changes)]) == [f"routes/0/{path}" for path in expected]


@pytest.mark.parametrize(
    ("other", "changes", "expected"),
    [
        pytest.param({"timeout": "30s"}, {}, [], id="the-default-timeout-in-words"),
        pytest.param({"timeout": "5s"}, {}, ["upstream"], id="timeouts"),
        pytest.param({"timeout": "5s"}, {"timeout": "7s"}, [], id="the-routes-timeout"),
        pytest.param({"retries": {"attempts": 2}}, {}, ["upstream"], id="retries"),
        pytest.param({"retries": {"attempts": 2}}, {"retries": {}}, [], id="the-routes-retries"),
        pytest.param({"load_balancing": {"policy": "maglev", "hash_by": "ip"}}, {}, [], id="one-hash"),
        pytest.param({"url": "http://127.0.0.1:9002/v1"}, {}, ["upstream/1/name"], id="paths"),
        pytest.param({"url": "https://a.example.com"}, {}, [], id="hosts"),
        pytest.param(
            {"endpoints": ["https://a.example.com", "https://b.example.com"]}, {}, ["upstream"], id="many-hosts"
        ),
    ],
)
def test_upstreams_that_want_different_things(
    other: dict[str, Any], changes: dict[str, Any], expected: list[str]
) -> None:
    upstreams = {**UPSTREAMS, "other": other if "endpoints" in other else {**SHADOW, **other}}

    assert mistakes(upstreams=upstreams, routes=[route(upstream=SHARES, **changes)]) == [
        f"routes/0/{path}" for path in expected
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, [], id="the-same-path"),
        pytest.param({"mirror": {"upstream": "other"}}, ["mirror/upstream"], id="a-mirror-with-another"),
        pytest.param({"rewrite_regex": {"pattern": "a", "substitution": "b"}}, ["rewrite_regex"], id="an-expression"),
    ],
)
def test_upstreams_with_a_path(changes: dict[str, Any], expected: list[str]) -> None:
    upstreams = {"email": {"url": "http://127.0.0.1:9001/v1"}, "other": SHADOW}

    assert mistakes(upstreams=upstreams, routes=[route(**changes)]) == [f"routes/0/{path}" for path in expected]
