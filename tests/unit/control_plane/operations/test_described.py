"""Configurations in words: what means the same reads the same, and a secret is never told."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from control_plane.compile import compile_file
from control_plane.operations.described import SECRET, described, hashing_key
from control_plane.operations.reports import Element
from tests.support.compiled import JWT_SECRET, TOKEN, compiled, config, private, route, written

KEY = hashing_key("an-admin-token")
UPSTREAMS = {"email": {"url": "http://127.0.0.1:9001"}, "other": {"url": "http://127.0.0.1:9002"}}
TOKENS = {"bearer_tokens": [{"name": "ops", "token": TOKEN}]}


def elements(content: Any, key: bytes = KEY) -> dict[str, Element]:
    loaded = compiled(content).loaded
    return described(loaded.config, loaded.referenced, key)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(route(priority=0, body_limit="8MiB"), route(), id="a written default"),
        pytest.param(route(timeout="60s"), route(timeout="1m"), id="another unit"),
        pytest.param(route(methods=["GET", "POST"]), route(methods=["POST", "GET"]), id="methods in another order"),
        pytest.param(route(hosts=["a.test", "b.test"]), route(hosts=["b.test", "a.test"]), id="hosts in another order"),
        pytest.param(
            route(limits=[{"requests": "1/second", "per": "ip"}, {"requests": "5/minute", "per": ["route"]}]),
            route(limits=[{"requests": "5/minute", "per": "route"}, {"requests": "1/second", "per": ["ip"]}]),
            id="limits in another order, one dimension as a list",
        ),
        pytest.param(
            route(limits=[{"concurrent": 5, "per": "ip", "mode": "enforce"}]),
            route(limits=[{"concurrent": 5, "per": ["ip"], "scope": "fleet"}]),
            id="how a limit is kept by default",
        ),
        pytest.param(route(upstream=[{"name": "email", "weight": 7}]), route(), id="the only one of a list"),
        pytest.param(
            route(upstream=[{"name": "email", "weight": 1}, {"name": "other", "weight": 2}]),
            route(upstream=[{"name": "other", "weight": 2}, {"name": "email", "weight": 1}]),
            id="weighted upstreams in another order",
        ),
        pytest.param(route(headers={"x-a": "1"}), route(headers={"x-a": {"exact": "1"}}), id="an exact test"),
        pytest.param(
            route(request_headers={"remove": ["x-a", "x-b"]}),
            route(request_headers={"remove": ["x-b", "x-a"]}),
            id="removed headers in another order",
        ),
        pytest.param(
            route(request_body={"merge": {"a": {"b": 1, "c": 2}}}),
            route(request_body={"merge": {"a": {"c": 2, "b": 1}}}),
            id="keys of JSON in another order",
        ),
    ],
)
def test_routes_that_mean_the_same_read_the_same(one, other) -> None:
    found = [elements(config(routes=[item], upstreams=UPSTREAMS)) for item in (one, other)]

    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            route(request_body={"merge": {"a": [1, 2]}}), route(request_body={"merge": {"a": [2, 1]}}), id="JSON"
        ),
        pytest.param(route(auth="none"), route(auth="none", cors={"origins": ["https://a.test"]}), id="cors"),
        pytest.param(route(), route(cache={}), id="an empty mapping"),
        pytest.param(route(streaming=True), route(streaming=True, body_limit="8MiB"), id="a written limit of a stream"),
        pytest.param(route(timeout="1s"), route(timeout="1001ms"), id="a millisecond"),
    ],
)
def test_routes_that_differ_read_differently(one, other) -> None:
    found = [elements(config(routes=[item])) for item in (one, other)]

    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"url": "http://127.0.0.1:9001"}, {"endpoints": ["http://127.0.0.1:9001"]}, id="one endpoint"),
        pytest.param(
            {"endpoints": ["http://127.0.0.1:1", "http://127.0.0.1:2"]},
            {"endpoints": ["http://127.0.0.1:2", "http://127.0.0.1:1"]},
            id="endpoints in another order",
        ),
        pytest.param({"url": "http://127.0.0.1:1", "health_check": {}}, {"url": "http://127.0.0.1:1"}, id="a check"),
    ],
)
def test_upstreams_that_mean_the_same_read_the_same(one, other) -> None:
    found = [elements(config(routes=[route()], upstreams={"email": item})) for item in (one, other)]

    assert found[0] == found[1]


def test_routes_and_consumers_in_another_order_read_the_same() -> None:
    routes, consumers = [route("a", "/a"), route("b", "/b")], [{"name": "x"}, {"name": "y"}]

    assert elements(config(routes=routes, consumers=consumers)) == elements(
        config(routes=routes[::-1], consumers=consumers[::-1])
    )


def test_encodings_are_in_an_order_that_means_something() -> None:
    listeners = [
        {"public": {"address": "127.0.0.1:8800", "compression": order}}
        for order in (["gzip", "zstd"], ["zstd", "gzip"])
    ]
    found = [elements(config(routes=[route()], listeners=item))["listeners.public"].keys for item in listeners]

    assert [keys["compression"] for keys in found] == ["[gzip, zstd]", "[zstd, gzip]"]


def test_a_secret_is_a_hash_of_who_holds_the_key() -> None:
    tokens = {"bearer_tokens": [{"name": "ops", "token": TOKEN}, {"name": "twin", "token": TOKEN + "x"}]}
    issuer = {
        "name": "tools", "issuer": "https://tools.test", "audiences": ["g"], "algorithms": ["HS256"],
        "keys": {"secret": JWT_SECRET},
    }  # fmt: skip
    content = config(routes=[private()], identity={**tokens, "jwt": [issuer]}, admin={"token": TOKEN + "y"})
    ours, theirs = elements(content), elements(content, hashing_key("another-token"))

    told = [
        ours[address].keys[key]
        for address, key in (
            ("identity.bearer_tokens.ops", "token"),
            ("identity.bearer_tokens.twin", "token"),
            ("identity.jwt.tools", "keys.secret"),
            ("admin", "token"),
        )
    ]
    assert len(set(told)) == 4
    assert all(text.startswith(SECRET) for text in told)
    assert elements(content) == ours
    assert ours["admin"].keys != theirs["admin"].keys
    assert not any(secret in repr(ours) for secret in (TOKEN, JWT_SECRET))


def test_the_content_of_a_file_of_keys_counts(tmp_path: Path) -> None:
    issuer = {
        "name": "accounts", "issuer": "https://a.test", "audiences": ["g"], "algorithms": ["RS256"],
        "keys": {"file": "jwks.json"},
    }  # fmt: skip
    file = written(tmp_path, config(routes=[route(auth=["jwt"])], identity={"jwt": [issuer]}))
    found = []
    for _ in range(2):
        key = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key()))
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [{**key, "kid": "1"}]}))
        loaded = compile_file(file, {}).loaded
        found.append(described(loaded.config, loaded.referenced, KEY)["identity.jwt.accounts"].keys)

    assert found[0]["keys.file"] == found[1]["keys.file"] == "jwks.json"
    assert found[0]["keys.content"] != found[1]["keys.content"]


@pytest.mark.parametrize(
    ("address", "uses", "where"),
    [
        pytest.param(
            "routes.both", ("upstreams.email", "upstreams.other", "upstreams.copy"), ("/both",), id="upstreams"
        ),
        pytest.param(
            "routes.hosted",
            ("upstreams.email", "defaults.auth", "identity.bearer_tokens", "plans", "defaults.plan", "tenants"),
            ("a.test/h/*", "b.test/h/*"),
            id="defaults",
        ),
        pytest.param(
            "routes.open", ("upstreams.email", "defaults.auth", "identity.bearer_tokens"), ("/open",), id="uncounted"
        ),
        pytest.param("routes.moved", (), ("~/v[0-9]+",), id="answered here"),
        pytest.param("consumers.acme", ("plans.pro",), ("acme-inc",), id="consumer"),
        pytest.param("consumers.plain", ("defaults.plan", "plans.free"), (), id="consumer without a plan"),
        pytest.param("identity.bearer_tokens.ops", ("plans.pro", "consumers.acme"), (), id="token of a consumer"),
        pytest.param("tenants.acme-inc", (), ("acme-inc",), id="tenant"),
        pytest.param("upstreams.email", (), ("http://127.0.0.1:9001",), id="endpoints"),
        pytest.param("listeners.public", (), ("127.0.0.1:8800",), id="address"),
    ],
)
def test_who_depends_on_what(address, uses, where) -> None:
    content = config(
        defaults={"auth": ["bearer"], "plan": "free"},
        plans={"free": {"limits": [{"requests": "1/second"}]}, "pro": {}},
        consumers=[{"name": "acme", "tenant": "acme-inc", "plan": "pro"}, {"name": "plain"}],
        tenants=[{"name": "acme-inc", "limits": [{"requests": "1/second"}]}],
        identity={"bearer_tokens": [{"name": "ops", "token": TOKEN, "consumer": "acme", "plan": "free"}]},
        upstreams={**UPSTREAMS, "copy": {"url": "http://127.0.0.1:9003"}},
        routes=[
            route("both", "/both", upstream=[{"name": "email", "weight": 1}, {"name": "other", "weight": 1}],
                  mirror={"upstream": "copy"}),
            {"name": "hosted", "match": {"path": "/h/*", "hosts": ["b.test", "a.test"]}, "upstream": "email"},
            {"name": "open", "match": {"path": "/open"}, "upstream": "email", "limits": "unlimited"},
            {"name": "moved", "match": {"path_regex": "/v[0-9]+"}, "redirect": {"path": "/new"}, "auth": "none"},
        ],
    )  # fmt: skip

    found = elements(content)[address]

    assert (found.uses, found.where) == (uses, where)


BACKENDS = {name: {"url": "http://127.0.0.1:11434", "api": "ollama"} for name in ("ollama", "second", "third")}
LLM = {"upstreams": BACKENDS, "llm": {"auth": "none"}}


def model(**changes: Any) -> dict[str, Any]:
    return config(models=[{"name": "smart", "upstream": "ollama", **changes}], **LLM)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(model(max_tokens=4096), model(), id="a written default"),
        pytest.param(model(upstream=[{"name": "ollama"}]), model(), id="the only one of a list"),
        pytest.param(model(aliases=["b", "a"]), model(aliases=["a", "b"]), id="aliases in another order"),
        pytest.param(
            model(upstream=[{"name": "ollama"}, {"name": "second", "weight": 2}]),
            model(upstream=[{"name": "second", "weight": 2}, {"name": "ollama", "weight": 1}]),
            id="weighted upstreams in another order",
        ),
    ],
)
def test_models_that_mean_the_same_read_the_same(one, other) -> None:
    assert elements(one) == elements(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(model(price={"input": 1}), model(), id="price"),
        pytest.param(
            model(fallback=[{"upstream": "second"}, {"upstream": "third"}]),
            model(fallback=[{"upstream": "third"}, {"upstream": "second"}]),
            id="who is asked first",
        ),
        pytest.param(
            model(upstream=[{"name": "ollama", "model": "x"}]), model(), id="what the only one of a list calls it"
        ),
        pytest.param({**model(), "llm": {"auth": "none", "timeout": "1s"}}, model(), id="the endpoints"),
        pytest.param({**model(), "discovery": {"upstreams": ["ollama"]}}, model(), id="discovery"),
        pytest.param(
            {**model(), "discovery": {"upstreams": ["ollama", "second"]}},
            {**model(), "discovery": {"upstreams": ["second", "ollama"]}},
            id="who is asked first for models of the same name",
        ),
    ],
)
def test_models_that_differ_read_differently(one, other) -> None:
    assert elements(one) != elements(other)


def test_who_depends_on_which_upstream_for_a_model() -> None:
    content = {**model(fallback=[{"upstream": "second"}], aliases=["best"]), "discovery": {"upstreams": ["ollama"]}}
    found = elements(content)

    assert found["models.smart"].uses == ("upstreams.ollama", "upstreams.second")
    assert found["models.smart"].where == ("smart", "best")
    assert found["discovery"].uses == ("upstreams.ollama",)
