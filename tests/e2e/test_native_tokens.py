"""What is particular where Envoy judges tokens: beside other credentials, without an authorizer, when keys change, and
the few differences that docs/native.md states.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from service_kit.contract import DECISION_NAMESPACE
from tests.support.authz import rsa_jwk
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.issuers import issuers, spelt, token
from tests.support.upstream import Upstream

KEY = {"x-api-key": "a-key"}
BEARER = "a-bearer-token-for-tests"


def config(folder: Path, upstream: str) -> dict[str, Any]:
    """Envoy judges tokens of one issuer, the authorizer those of the other; API keys are accepted, too."""
    native, other = issuers(folder, "envoy")
    return {
        "defaults": {"auth": ["jwt", "bearer", "api_key"]},
        "identity": {
            "jwt": [native, {**other, "enforce": "service"}],
            "bearer_tokens": [{"name": "ops", "token": BEARER}],
            "api_keys": {"headers": ["authorization", "x-api-key"], "query": "api_key", "cookie": "gate"},
        },
        "upstreams": {"echo": {"url": upstream}},
        "routes": [
            {"name": "any", "match": {"path": "/any/*"}, "upstream": "echo"},
            {"name": "scoped", "match": {"path": "/scoped"}, "upstream": "echo", "require": {"scopes": ["email.send"]}},
            {"name": "reported", "match": {"path": "/reported"}, "upstream": "echo",
             "require": {"scopes": ["email.send"], "mode": "report"}},
            {"name": "planned", "match": {"path": "/planned"}, "upstream": "echo", "require": {"plans": ["pro"]}},
            {"name": "counted", "match": {"path": "/counted"}, "upstream": "echo", "limits": [{"requests": "2/day"}]},
        ],
        "plans": {"free": {}, "pro": {}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("issuers")


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, keys: Path) -> Iterator[Gateway]:
    with running_gateway(config(keys, upstream.url)) as running:
        yield running


@pytest.fixture(scope="module")
def by_service(upstream: Upstream, keys: Path) -> Iterator[Gateway]:
    """The same, but that the authorizer judges all."""
    whole = config(keys, upstream.url)
    for issuer in whole["identity"]["jwt"]:
        issuer["enforce"] = "service"
    with running_gateway(whole) as running:
        yield running


@pytest.fixture
def stopped(gateway: Gateway) -> Iterator[Gateway]:
    """The gateway while its authorizer answers nothing."""
    pid = gateway.pid_of("authz_service")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield gateway
    finally:
        os.kill(pid, signal.SIGCONT)
        until(lambda: get(gateway, "/any/thing", bearer=BEARER).status_code == 200)


def get(at: Gateway, path: str, bearer: str | None = None, **headers: str) -> httpx.Response:
    credential = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    with at.client() as client:
        return client.get(path, headers={**credential, **headers})


def seen(response: httpx.Response) -> Mapping[str, str]:
    """The headers that the upstream got."""
    assert response.status_code == 200, response.text
    return dict(response.json()["headers"])


def verdict(response: httpx.Response) -> tuple[int, str | None]:
    return response.status_code, None if response.status_code == 200 else response.json()["error"]["code"]


def is_vouched_for(at: Gateway, bearer: str) -> bool:
    """Whether Envoy lets the token pass by itself: the authorizer, which learns of keys first, may do so before."""
    response = get(at, "/any/thing", bearer)
    return response.status_code == 200 and at.logged(response.headers["x-request-id"])["decision"] is None


BESIDE = [
    pytest.param("/any/thing", KEY, id="header"),
    pytest.param("/any/thing?api_key=a-key", {}, id="query"),
    pytest.param("/any/thing?x=1&api%5Fkey=a-key", {}, id="query-encoded"),
    pytest.param("/any/thing?x=1&api_key", {}, id="query-empty"),
    pytest.param("/any/thing", {"cookie": "a=b; gate=a-key"}, id="cookie"),
    pytest.param("/any/thing", {"cookie": 'gate="a-key"'}, id="cookie-quoted"),
]


@pytest.mark.parametrize(("path", "headers"), BESIDE)
def test_a_token_beside_a_key_is_ambiguous(gateway: Gateway, path: str, headers: dict[str, str]) -> None:
    response = get(gateway, path, token(), **headers)

    assert verdict(response) == (400, "ambiguous_credentials")


@pytest.mark.parametrize(
    "path", ["/any/api_key=", "/any/thing?apikey=1&x=api_key", "/any/thing?api_key2=1", "/any/thing?x=%61"]
)
def test_what_is_no_key_stands_beside_a_token(gateway: Gateway, path: str) -> None:
    assert seen(get(gateway, path, token(), cookie="a=b"))["x-tollgate-subject"] == "ada"


def test_its_requests_are_logged_as_all_others(gateway: Gateway) -> None:
    response = get(gateway, "/any/thing", token(org="acme", plan="pro"))

    row = gateway.logged(response.headers["x-request-id"])
    assert {part: row[part] for part in ("subject", "tenant", "consumer", "plan", "key_id")} == {
        "subject": "ada", "tenant": "acme", "consumer": "-", "plan": "pro", "key_id": "k1",
    }  # fmt: skip
    assert row["profile"].startswith("p-")
    assert row["decision"] is None, f"nobody was asked, so nothing is in {DECISION_NAMESPACE}"


def test_its_requests_are_counted_by_subject(gateway: Gateway) -> None:
    subject, other = f"counted-{time.time_ns()}", f"other-{time.time_ns()}"

    answers = [get(gateway, "/counted", token(sub=who)).status_code for who in (subject, subject, subject, other)]

    assert answers == [200, 200, 429, 200]


def test_a_token_that_was_seen_before_is_the_same_and_ends_as_it_says(gateway: Gateway) -> None:
    expires = int(time.time()) + 3
    often = token(exp=expires, org="acme", scope="email.send", aud=["gateway", "x"])

    identities = [
        {name: value for name, value in seen(get(gateway, "/scoped", often)).items() if name.startswith("x-tollgate")}
        for _ in range(3)
    ]
    until(lambda: time.time() >= expires)

    assert identities[0] == identities[1] == identities[2]
    assert identities[0]["x-tollgate-tenant"] == "acme"
    assert verdict(get(gateway, "/scoped", often)) == (401, "expired_token")


def test_a_plan_is_required(gateway: Gateway) -> None:
    assert seen(get(gateway, "/planned", token(plan="pro")))["x-tollgate-plan"] == "pro"
    assert get(gateway, "/planned", token(plan="free")).status_code == 403
    assert get(gateway, "/planned", token()).status_code == 403


def test_what_would_be_refused_is_reported(gateway: Gateway) -> None:
    lacking, holding = get(gateway, "/reported", token()), get(gateway, "/reported", token(scope="email.send"))

    rows = [gateway.logged(response.headers["x-request-id"]) for response in (lacking, holding)]
    assert [lacking.status_code, holding.status_code] == [200, 200]
    assert [row["would_deny"] for row in rows] == ["missing_scope", None]


def test_without_an_authorizer_its_tokens_pass_and_all_else_is_refused(stopped: Gateway) -> None:
    assert seen(get(stopped, "/any/thing", token()))["x-tollgate-subject"] == "ada"
    assert seen(get(stopped, "/scoped", token(scope="email.send")))["x-tollgate-subject"] == "ada"
    assert seen(get(stopped, "/planned", token(plan="pro")))["x-tollgate-plan"] == "pro"

    unavailable = (503, "authorization_unavailable")
    for path, bearer in (("/any/thing", None), ("/any/thing", BEARER), ("/scoped", token()), ("/any/x", "a.b.c")):
        assert verdict(get(stopped, path, bearer)) == unavailable
    assert verdict(get(stopped, "/any/thing", token(), **KEY)) == unavailable


def test_a_key_that_is_gone_opens_nothing_not_even_on_an_open_connection(gateway: Gateway, keys: Path) -> None:
    file = keys / "accounts.json"
    before = file.read_text()
    old, new = token(), token({"kid": "k3"}, "k3")
    with gateway.client() as client:
        assert client.get("/any/thing", headers={"authorization": f"Bearer {old}"}).status_code == 200

        try:
            file.write_text(json.dumps({"keys": [rsa_jwk("k2"), rsa_jwk("k3")]}))
            until(lambda: get(gateway, "/any/thing", new).status_code == 200)
            until(lambda: get(gateway, "/any/thing", old).status_code == 401)

            assert client.get("/any/thing", headers={"authorization": f"Bearer {old}"}).status_code == 401
            assert client.get("/any/thing", headers={"authorization": f"Bearer {new}"}).status_code == 200
        finally:
            file.write_text(before)
            until(lambda: is_vouched_for(gateway, old))


# docs/native.md has a line for each.
SPELLINGS = [
    pytest.param(lambda: spelt('"x":1,'), id="comma-before-the-end"),
    pytest.param(lambda: spelt("'x':1"), id="single-quotes"),
    pytest.param(lambda: spelt("x:1"), id="name-without-quotes"),
    pytest.param(lambda: spelt('"x":"a\nb"'), id="line-break-in-a-text"),
    pytest.param(lambda: token(scope=["email.send", {}]), id="scopes-with-something-else"),
]


@pytest.mark.parametrize("made", SPELLINGS)
def test_envoy_reads_claims_more_freely(gateway: Gateway, by_service: Gateway, made: Callable[[], str]) -> None:
    assert get(by_service, "/any/thing", made()).status_code == 401
    assert get(gateway, "/any/thing", made()).status_code == 200


def test_beside_stored_consumers_a_subject_is_no_consumer(gateway: Gateway, by_service: Gateway) -> None:
    assert seen(get(by_service, "/any/thing", token()))["x-tollgate-consumer"] == "ada"
    assert seen(get(gateway, "/any/thing", token()))["x-tollgate-consumer"] == "-"


def test_nobody_decides_so_there_is_no_decision(gateway: Gateway, by_service: Gateway) -> None:
    rows = [
        at.logged(get(at, "/any/thing", token()).headers["x-request-id"])["decision"] for at in (by_service, gateway)
    ]

    assert [row is None for row in rows] == [False, True]
