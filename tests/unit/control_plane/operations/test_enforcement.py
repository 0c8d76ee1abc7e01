"""What `tollgate explain` says is what the compiled gateway does: filters that are there, in their order."""

import json
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Gateway
from control_plane.operations.enforcement import AUTHORIZER, ENVOY, RATE_LIMITS, Enforced, enforcement
from control_plane.xds import names
from control_plane.xds.filters.chain import http_filters, typed_per_filter_config
from control_plane.xds.filters.per_route import OFF
from tests.support.authz import rsa_jwk
from tests.support.compiled import IDENTITY, compiled, config, private, route

OWN = {"issuer": "https://gateway.example.com", "audiences": ["gateway"]}
LOCAL = {"requests": "5/minute", "scope": "instance"}
# Filters that act for another one, which has the rule.
BESIDE = {
    names.CORS_VARY: names.CORS,
    names.CACHE_EDGE: names.CACHE,
    names.NATIVE_IDENTITY: names.OWN_TOKEN,
    names.UNUSED_TOKENS: names.TOKEN_GUARD,
    names.JSON_TOKENS: names.TOKEN_GUARD,
    names.TOKEN_SPELLINGS: names.TOKEN_GUARD,
    names.STREAMED_TOKENS: names.TOKEN_GUARD,
}


def answered(name: str, path: str, **answer: Any) -> dict[str, Any]:
    """A private route that the gateway answers."""
    return {key: value for key, value in private(name, path, **answer).items() if key != "upstream"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    file = tmp_path_factory.mktemp("keys") / "jwks.json"
    file.write_text(json.dumps({"keys": [rsa_jwk("k1")]}))
    issuer = {
        "name": "accounts",
        "issuer": "https://accounts.example.com",
        "audiences": ["gateway"],
        "algorithms": ["RS256"],
        "keys": {"file": str(file)},
        "enforce": "envoy",
    }
    return compiled(
        config(
            identity={**IDENTITY, "jwt": [issuer], "tokens": {**OWN, "enforce": "envoy"}},
            plans={"free": {"limits": [{"requests": "60/hour"}, {**LOCAL, "requests": "9/second"}]}},
            routes=[
                route("native", "/native", auth=["jwt", "bearer"], require={"scopes": ["a", "b"], "roles": ["c"]}),
                private("asked", "/asked", limits=[{"requests": "5/minute", "per": ["ip", "subject"]}, LOCAL]),
                private("reported", "/reported", require={"scopes": ["a"], "plans": ["free"], "mode": "report"}),
                route("public", "/public", allow_ips=["10.0.0.0/8"], cors={"origins": ["https://a.example.com"]}),
                route("shaped", "/shaped", bandwidth={"upload": "1MiB", "download": "1500B"},
                      adaptive_concurrency={}, fault={"abort": {"status": 500}}, body_limit="16MiB"),
                route("kept", "/kept", cache={}),
                route("metered", "/chat/completions", tokens={"most": 9}),
                route("merged", "/merged", request_body={"merge": {"a": 1}}),
                route("socket", "/socket", websocket=True),
                answered("away", "/away", redirect={"host": "a.example.com"}),
                answered("said", "/said", respond={"body": "said"}),
            ],
        )
    ).gateway  # fmt: skip


def rules(gateway: Gateway, name: str) -> tuple[Enforced, ...]:
    return enforcement(gateway, next(route for route in gateway.routes if route.name == name))


ROUTES = ("native", "asked", "reported", "public", "shaped", "kept", "metered", "merged", "socket", "away", "said")


@pytest.mark.parametrize("name", ROUTES)
def test_every_filter_is_there_and_in_its_order(gateway: Gateway, name: str) -> None:
    chain = [item.name for item in http_filters(gateway, gateway.listeners[0])]

    told = [item.filter for item in rules(gateway, name)]

    assert told == sorted(told, key=chain.index)


@pytest.mark.parametrize("name", ROUTES)
def test_no_filter_that_acts_on_the_route_is_left_out(gateway: Gateway, name: str) -> None:
    route = next(route for route in gateway.routes if route.name == name)
    speaks = {filter_ for filter_, said in typed_per_filter_config(route).items() if not _off(said)}

    told = {item.filter for item in rules(gateway, name)}

    assert {BESIDE.get(filter_, filter_) for filter_ in speaks} <= told


QUOTAS = [{"usage": "requests", "amount": "9/day"}]


@pytest.fixture(scope="module")
def counted() -> Gateway:
    more = [{"name": f"c{number:02}", "quotas": QUOTAS} for number in range(30)]
    return compiled(
        config(
            identity=IDENTITY,
            plans={"free": {"limits": [{"concurrent": 5}, {"tokens": "100/minute"}], "quotas": [
                {"usage": "email", "amount": "100/month", "on_store_failure": "local"},
                {"usage": "usd", "amount": "5.25/month", "per": "plan", "mode": "report"}]}},
            consumers=[{"name": "acme", "limits": "unlimited", "quotas": QUOTAS},
                       {"name": "all", "quotas": "unlimited"}, *more],
            tenants=[{"name": "acme-inc", "limits": [{"requests": "9/minute", "on_store_failure": "allow"}]}],
            routes=[
                private("mail", "/mail", usage="email"),
                private("chat", "/v1/chat/completions", tokens={"price": {"input": 1}}, methods=["POST"]),
                private("open", "/open", limits="unlimited"),
            ],
        )
    ).gateway  # fmt: skip


def _counted(gateway: Gateway, name: str) -> list[str]:
    return [item.rule for item in rules(gateway, name) if item.filter == names.RATELIMIT]


def test_what_is_counted_of_a_call_and_for_whom(counted: Gateway) -> None:
    told = _counted(counted, "mail")

    assert told[:5] == [
        "plan free: 5 calls under way per subject",
        "plan free: 100 email a calendar month per consumer, counted by each process while the store is away",
        "consumer acme: no limit of its plan",
        "consumer acme: 9 requests a calendar day per consumer, in place of its plan's",
        "consumer all: no quota of its plan",
    ]
    assert told[-2:] == [
        "13 more rules of consumers",
        "tenant acme-inc: 9 requests a minute per tenant, not counted while the store is away",
    ]


def test_tokens_are_counted_where_there_are_some(counted: Gateway) -> None:
    assert _counted(counted, "chat")[:3] == [
        "plan free: 5 calls under way per subject",
        "plan free: 100 tokens a minute per subject",
        "plan free: 5.25 USD a calendar month per plan, reported only",
    ]


def test_what_nothing_counts_says_so(counted: Gateway) -> None:
    assert _counted(counted, "open") == ["no rule of a plan, consumer or tenant counts it"]


def _off(said: ProtoAny) -> bool:
    return said == OFF or said.value == b"\x08\x01"  # `disabled: true`


def test_where_envoy_judges_tokens_the_authorizer_has_the_rest(gateway: Gateway) -> None:
    rest = "all that Envoy does not let pass: "
    assert rules(gateway, "native") == (
        Enforced("request bodies of at most 8 MiB", ENVOY, "tollgate.body_limit.8388608"),
        Enforced("tokens of accounts: signature, issuer, audience", ENVOY, "envoy.filters.http.jwt_authn"),
        Enforced(
            "tokens of accounts: algorithm, key, dates, claims, a plan that is declared", ENVOY, "rbac.native_token"
        ),
        Enforced("tokens of the gateway: signature, issuer, audience", ENVOY, "tollgate.own_tokens"),
        Enforced(
            "tokens of the gateway: key, dates, an API key that lives, a plan that is declared", ENVOY, "rbac.own_token"
        ),
        Enforced("tokens of accounts, the gateway: the scopes a, b", ENVOY, "rbac.native"),
        Enforced("tokens of accounts, the gateway: one of the roles c", ENVOY, "rbac.native"),
        Enforced(f"{rest}a credential: bearer or jwt", AUTHORIZER, "envoy.filters.http.ext_authz"),
        Enforced(f"{rest}a plan that is declared", AUTHORIZER, "envoy.filters.http.ext_authz"),
        Enforced(f"{rest}the scopes a, b", AUTHORIZER, "envoy.filters.http.ext_authz"),
        Enforced(f"{rest}one of the roles c", AUTHORIZER, "envoy.filters.http.ext_authz"),
        Enforced("the token is not for the upstream", ENVOY, "tollgate.native_credential"),
        Enforced("only what was authorized for this route", ENVOY, "rbac.profile"),
        Enforced("plan free: 9 requests a second per subject, at each Envoy", ENVOY, "tollgate.instance_limits"),
        Enforced("plan free: 60 requests an hour per subject", RATE_LIMITS, "envoy.filters.http.ratelimit"),
        Enforced("goes to email", ENVOY, "envoy.filters.http.router"),
    )


def _told(gateway: Gateway, name: str) -> list[str]:
    return [item.rule for item in rules(gateway, name)]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        pytest.param("asked", "5 requests a minute per ip and subject", id="two-dimensions"),
        pytest.param("reported", "the scopes a, reported only", id="reported"),
        pytest.param("reported", "one of the plans free, reported only", id="plans"),
        pytest.param("public", "nobody is asked who calls", id="public"),
        pytest.param("public", "clients of 10.0.0.0/8 only", id="networks"),
        pytest.param("public", "pages of https://a.example.com may call it", id="pages"),
        pytest.param("shaped", "request bodies of at most 16 MiB", id="size"),
        pytest.param("shaped", "download: 1500 bytes a second", id="odd-size"),
        pytest.param("away", "redirects with 308", id="redirect"),
        pytest.param("said", "answers 200", id="answer"),
    ],
)
def test_rules_are_told_in_the_words_of_the_configuration(gateway: Gateway, name: str, rule: str) -> None:
    assert rule in _told(gateway, name)


def test_what_does_not_hold_is_not_told(gateway: Gateway) -> None:
    told: dict[str, Any] = {name: " ".join(_told(gateway, name)) for name in ROUTES}

    assert "bodies" not in told["socket"]
    assert "plan free" not in told["public"]
    assert "requests a" not in told["said"]


@pytest.fixture(scope="module")
def of_models() -> Gateway:
    return compiled(
        config(
            identity=IDENTITY,
            defaults={"auth": ["bearer"]},
            plans={"free": {}, "poor": {"models": ["open"]}, "none": {"models": []}},
            upstreams={"gpu": {"url": "http://127.0.0.1:11434", "api": "openai"}},
            models=[
                {"name": "small", "upstream": "gpu", "refuse": ["top_k"], "fallback": ["open"]},
                {"name": "open", "upstream": "gpu"},
            ],
        )
    ).gateway


@pytest.mark.parametrize("name", ["chat:small", "chat:open", "embeddings:small"])
def test_what_is_said_of_calls_of_a_model_is_in_the_order_of_the_filters(of_models: Gateway, name: str) -> None:
    chain = [item.name for item in http_filters(of_models, of_models.listeners[0])]
    told = [item.filter for item in rules(of_models, name)]

    assert told == sorted(told, key=chain.index)


def test_who_may_call_a_model_and_who_answers(of_models: Gateway) -> None:
    told = [item.rule for item in rules(of_models, "chat:small")]

    assert told[4:8] == [
        "one of the plans that may call the model: free",
        "of API keys for some models alone those that name it",
        "calls without top_k",
        "calls whose tokens can be counted: answers of at most 4096 tokens",
    ]
    assert told[-1] == "goes to llm:gpu:small~openai~failover, then llm:gpu:open~openai~failover"
