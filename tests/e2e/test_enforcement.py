"""One table of requests for both ways to judge tokens: by the authorizer alone, and by Envoy where it can.

The same status, the same error, the same challenge and the same headers for the upstream; and, without an authorizer,
just those requests pass that the table calls native.
"""

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from tests.support.compiled import WIRING
from tests.support.envoy import static_envoy
from tests.support.gateway import Gateway, running_gateway
from tests.support.issuers import ACCOUNTS, PERMISSIONS, TIER, issuers, partner_token, signed, spelt, token
from tests.support.ports import free_port
from tests.support.upstream import Upstream

BEARER = "a-bearer-token-for-tests"
MODES = ("service", "envoy")
# Headers that differ from one request to the next, or from one gateway to the other.
OF_THE_REQUEST = frozenset({"x-request-id", "host", "x-forwarded-host"})
Headers = list[tuple[str, str]]


def config(folder: Path, upstream: str, enforce: str) -> dict[str, Any]:
    """Routes with every demand there is."""
    return {
        "defaults": {"auth": ["jwt", "bearer"], "plan": "free"},
        "identity": {
            "jwt": issuers(folder, enforce),
            "bearer_tokens": [{"name": "ops", "token": BEARER, "subject": "ops", "scopes": ["email.send"]}],
        },
        "plans": {"free": {}, "pro": {}},
        "consumers": [{"name": "acme", "plan": "pro"}],
        "upstreams": {"echo": {"url": upstream}},
        "routes": [
            {"name": "any", "match": {"path": "/any"}, "upstream": "echo"},
            {"name": "scoped", "match": {"path": "/scoped"}, "upstream": "echo", "require": {"scopes": ["email.send"]}},
            {"name": "both", "match": {"path": "/both"}, "upstream": "echo",
             "require": {"scopes": ["email.send", "email.read"], "roles": ["admin", "ops"]}},
            {"name": "roles", "match": {"path": "/roles"}, "upstream": "echo", "require": {"roles": ["admin", "ops"]}},
            {"name": "bearer", "match": {"path": "/bearer"}, "upstream": "echo", "auth": ["bearer"]},
            {"name": "jwt", "match": {"path": "/jwt"}, "upstream": "echo", "auth": ["jwt"]},
            {"name": "public", "match": {"path": "/public"}, "upstream": "echo", "auth": "none"},
            {"name": "answered", "match": {"path": "/answered"}, "respond": {"status": 200, "body": "yes"}},
        ],
    }  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A request, and what is answered; `native` where Envoy answers without asking."""

    headers: Callable[[], Headers]
    path: str = "/any"
    status: int = 200
    code: str | None = None
    native: bool = False
    upstream: Mapping[str, str | None] = field(default_factory=dict)


def row(
    name: str, made: Callable[[], str | Headers], path: str = "/any", status: int = 200, code: str | None = None,
    *, native: bool = False, **upstream: str | None,
) -> Any:  # fmt: skip
    """A row with a token, or with the headers that it is made of."""

    def headers() -> Headers:
        found = made()
        return [("authorization", f"Bearer {found}")] if isinstance(found, str) else found

    parts = {f"x-tollgate-{part.replace('_', '-')}": value for part, value in upstream.items()}
    return pytest.param(Row(headers, path, status, code, native, parts), id=name)


def later(seconds: int) -> int:
    return int(time.time()) + seconds


def with_token(*others: tuple[str, str], prefix: str = "Bearer ") -> Headers:
    return [("authorization", prefix + token()), *others]


def respelt(made: str) -> str:
    """The same signature in other characters: the last one has bits that no byte uses."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return made[:-1] + alphabet[alphabet.index(made[-1]) + 1]


def unsigned(algorithm: str) -> str:
    header, payload, _ = signed({"alg": algorithm, "kid": "k1"}, token().split(".")[1], "k1").split(".")
    return f"{header}.{token().split('.')[1]}.{payload[:4]}"


def other_payload() -> str:
    header, _, signature = token().split(".")
    payload = urlsafe_b64encode(token(sub="root").split(".")[1].encode()).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


GOOD = [
    row("valid", token, native=True, subject="ada", consumer="ada", plan="free", tenant="-", key_id="k1"),
    row("by-another-key", lambda: token({"kid": "k2"}, "k2"), native=True, key_id="k2"),
    row("by-another-algorithm", lambda: token({"alg": "ES256", "kid": "e1"}), native=True, key_id="e1"),
    row("tenant-and-plan", lambda: token(org="acme", plan="pro"), native=True, tenant="acme", plan="pro"),
    row("of-several-audiences", lambda: token(aud=["x", "other"]), native=True),
    row("another-issuer", partner_token, native=True, subject="grace", key_id="p1"),
    row("another-issuer-with-plan", lambda: partner_token(**{TIER: "pro"}), native=True, plan="pro"),
    row("within-the-leeway", lambda: partner_token(exp=later(-20)), native=True),
    row("soon-within-the-leeway", lambda: partner_token(nbf=later(20), iat=later(20)), native=True),
    row("single-key-unnamed", lambda: partner_token({"kid": None}), key_id="p1"),
    row("scheme-in-small-letters", lambda: with_token(prefix="bearer ")),
    row("two-spaces", lambda: with_token(prefix="Bearer  "), native=True),
    row("fractions-of-a-second", lambda: token(exp=later(60) + 0.5, iat=later(-5) - 0.5), native=True),
    row("null-claims", lambda: spelt('"plan":null,"org":null,"scope":null,"nbf":null'), plan="free", tenant="-"),
    row("no-issue-date", lambda: token(iat=None), native=True),
    row("text-that-is-encoded", lambda: token(sub="ada lovelace/ä%"), subject="ada%20lovelace/%C3%A4%25"),
    row("text-that-is-plain", lambda: token(sub="auth0|5f-7+x@y.z"), native=True, subject="auth0|5f-7+x@y.z"),
    row("longest-subject", lambda: token(sub="x" * 256), native=True, subject="x" * 256),
    row("subject-called-like-a-consumer", lambda: token(sub="acme"), subject="acme", consumer="-", plan="free"),
    row("headers-of-keys", lambda: token({"jku": "https://x", "x5u": "https://x", "jwk": {}}), native=True),
    row("type-spelt-out", lambda: partner_token({"typ": "application/AT+JWT"}), native=True),
    row("foreign-type", lambda: token({"typ": "anything"}), native=True),
    row("answered-by-the-gateway", token, "/answered", native=True),
    row("bearer", lambda: BEARER, subject="ops", consumer="ops", key_id="ops"),
    row("bearer-where-only-that", lambda: BEARER, "/bearer", subject="ops"),
    row("spoofed-headers", lambda: with_token(
        ("x-tollgate-subject", "root"), ("x-tollgate-tenant", "root"), ("x-tollgate-profile", "root"),
        ("x-tollgate-plan", "pro"), ("x-tollgate-key-id", "root"), ("x-tollgate-anything", "root"),
    ), native=True, subject="ada", tenant="-", plan="free", key_id="k1", profile=None, anything=None),
    row("public", list, "/public", native=True, subject=None, plan=None),
    row("public-with-a-token", token, "/public", native=True, subject=None, key_id=None, plan=None),
]  # fmt: skip
PERMITTED = [
    row("scope", lambda: token(scope="email.send"), "/scoped", native=True),
    row("scope-among-words", lambda: token(scope="a  email.send b"), "/scoped", native=True),
    row("scope-of-a-list", lambda: token(scope=["a", "email.send"]), "/scoped", native=True),
    row("scopes-and-role", lambda: token(scope="email.read email.send", roles=["ops"]), "/both", native=True),
    row("role", lambda: token(roles="user admin"), "/roles", native=True),
    row("scope-of-another-claim", lambda: partner_token(**{PERMISSIONS: ["email.send"]}), "/scoped", native=True),
    row("role-of-another-claim", lambda: partner_token(groups="ops"), "/roles", native=True),
    row("bearer-with-scope", lambda: BEARER, "/scoped"),
]
FORBIDDEN = [
    row("no-scope", token, "/scoped", 403, "missing_scope"),
    row("longer-scope", lambda: token(scope="email.sender"), "/scoped", 403, "missing_scope"),
    row("shorter-scope", lambda: token(scope=["email", "send"]), "/scoped", 403, "missing_scope"),
    row("scope-inside-an-element", lambda: token(scope=["x email.send"]), "/scoped", 403, "missing_scope"),
    row("scope-between-tabs", lambda: token(scope="x\temail.send"), "/scoped", 403, "missing_scope"),
    row("scope-in-capitals", lambda: token(scope="Email.Send"), "/scoped", 403, "missing_scope"),
    row("one-of-two-scopes", lambda: token(scope="email.send", roles="ops"), "/both", 403, "missing_scope"),
    row("scopes-without-role", lambda: token(scope="email.send email.read"), "/both", 403, "missing_role"),
    row("another-role", lambda: token(roles=["administrator"]), "/roles", 403, "missing_role"),
    row("scope-of-the-other-claim", lambda: partner_token(scope="email.send"), "/scoped", 403, "missing_scope"),
    row("unknown-plan", lambda: token(plan="gold"), status=403, code="unknown_plan"),
    row("role-of-a-bearer", lambda: BEARER, "/roles", 403, "missing_role"),
]
REFUSED = [
    row("expired", lambda: token(exp=later(-1)), status=401, code="expired_token"),
    row("expired-beyond-the-leeway", lambda: partner_token(exp=later(-31)), status=401, code="expired_token"),
    row("premature", lambda: token(nbf=later(100)), status=401, code="premature_token"),
    row("issued-in-the-future", lambda: token(iat=later(100)), status=401, code="premature_token"),
    row("no-expiry", lambda: token(exp=None), status=401, code="invalid_claim"),
    row("expiry-as-text", lambda: token(exp=str(later(60))), status=401, code="invalid_claim"),
    row("expiry-beyond-time", lambda: token(exp=10**15), status=401, code="invalid_claim"),
    row("expiry-is-true", lambda: spelt('"nbf":true'), status=401, code="invalid_claim"),
    row("lives-too-long", lambda: partner_token(exp=later(700)), status=401, code="invalid_claim"),
    row("life-unknown", lambda: partner_token(iat=None), status=401, code="invalid_claim"),
    row("foreign-audience", lambda: token(aud="elsewhere"), status=401, code="wrong_audience"),
    row("audience-as-address", lambda: token(aud="https://gateway/"), status=401, code="wrong_audience"),
    row("no-audience", lambda: token(aud=None), status=401, code="invalid_claim"),
    row("foreign-issuer", lambda: token(iss="https://elsewhere"), status=401, code="invalid_token"),
    row("longer-issuer", lambda: token(iss=f"{ACCOUNTS}/"), status=401, code="invalid_token"),
    row("claims-of-another-issuer", lambda: token(iss="https://partner.example.com"), status=401, code="invalid_token"),
    row("algorithm-not-named", lambda: token({"alg": "RS384"}), status=401, code="invalid_token"),
    row("other-padding", lambda: token({"alg": "PS256"}), status=401, code="invalid_token"),
    row("algorithm-none", lambda: unsigned("none"), status=401, code="invalid_token"),
    row("algorithm-hmac", lambda: unsigned("HS256"), status=401, code="invalid_token"),
    row("unnamed-key-of-several", lambda: token({"kid": None}), status=401, code="invalid_token"),
    row("unknown-key", lambda: token({"kid": "k9"}), status=401, code="invalid_token"),
    row("key-of-another-name", lambda: token({"kid": "k2"}), status=401, code="invalid_token"),
    row("key-name-as-number", lambda: token({"kid": 1}), status=401, code="invalid_token"),
    row("foreign-key", lambda: token(key="foreign"), status=401, code="invalid_token"),
    row("unknown-extension", lambda: token({"crit": ["x"], "x": 1}), status=401, code="invalid_token"),
    row("unencoded-payload", lambda: token({"b64": True}), status=401, code="invalid_token"),
    row("wrong-type", lambda: partner_token({"typ": "JWT"}), status=401, code="invalid_token"),
    row("no-type", lambda: partner_token({"typ": None}), status=401, code="invalid_token"),
    row("no-subject", lambda: token(sub=None), status=401, code="invalid_claim"),
    row("empty-subject", lambda: token(sub=""), status=401, code="invalid_claim"),
    row("dash-as-subject", lambda: token(sub="-"), status=401, code="invalid_claim"),
    row("subject-too-long", lambda: token(sub="x" * 257), status=401, code="invalid_claim"),
    row("subject-as-number", lambda: token(sub=7), status=401, code="invalid_token"),
    row("tenant-as-list", lambda: token(org=["acme"]), status=401, code="invalid_claim"),
    row("tenant-too-long", lambda: token(org="x" * 257), status=401, code="invalid_claim"),
    row("scopes-as-number", lambda: token(scope=7), status=401, code="invalid_claim"),
    row("repeated-claim", lambda: spelt('"sub":"root"'), status=401, code="invalid_token"),
    row("repeated-claim-in-disguise", lambda: spelt('"s\\u0075b":"root"'), status=401, code="invalid_token"),
    row("no-number", lambda: spelt('"x":NaN'), status=401, code="invalid_token"),
    row("exchanged-claims", other_payload, status=401, code="invalid_token"),
    row("signature-spelt-otherwise", lambda: respelt(token()), status=401, code="invalid_token"),
    row("padded", lambda: token() + "==", status=401, code="invalid_token"),
    row("two-parts", lambda: token().rpartition(".")[0], status=401, code="unknown_token"),
    row("oversized", lambda: token(x="y" * 7000), status=401, code="malformed_credential"),
    row("jwt-where-only-bearers", token, "/bearer", 401, "credential_not_accepted"),
    row("bearer-where-only-jwts", lambda: BEARER, "/jwt", 401, "credential_not_accepted"),
    row("unknown-bearer", lambda: "unknown", status=401, code="unknown_token"),
    row("anonymous", list, status=401, code="missing_credential"),
    row("spoofed-identity", lambda: [("x-tollgate-subject", "root"), ("x-tollgate-profile", "p-1")], status=401,
        code="missing_credential"),
    row("another-scheme", lambda: with_token(prefix="Basic "), status=401, code="malformed_credential"),
    row("scheme-inside", lambda: with_token(prefix="Basic x Bearer "), status=401, code="malformed_credential"),
    row("two-headers", lambda: with_token(("authorization", f"Bearer {token()}")), status=400,
        code="ambiguous_credentials"),
    row("token-and-bearer", lambda: with_token(("authorization", f"Bearer {BEARER}")), status=400,
        code="ambiguous_credentials"),
    row("joined-by-a-comma", lambda: [("authorization", f"Bearer {token()}, Bearer {token()}")], status=400,
        code="ambiguous_credentials"),
]  # fmt: skip
TABLE = [*GOOD, *PERMITTED, *FORBIDDEN, *REFUSED]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("issuers")


@pytest.fixture(scope="module")
def gateways(upstream: Upstream, keys: Path) -> Iterator[Mapping[str, Gateway]]:
    with ExitStack() as stack:
        yield {mode: stack.enter_context(running_gateway(config(keys, upstream.url, mode))) for mode in MODES}


@pytest.fixture(scope="module")
def alone(upstream: Upstream, keys: Path) -> Iterator[str]:
    """Envoy without any other process: what it answers with 200, it has judged itself."""
    port = free_port()
    file = keys / "gateway.yaml"
    listeners = {"version": 1, "listeners": {"public": {"address": f"127.0.0.1:{port}"}}}
    file.write_text(yaml.safe_dump({**config(keys, upstream.url, "envoy"), **listeners}))
    envoy, _ = snapshots(compile_file(file, {}).gateway, WIRING)
    with static_envoy(static_bootstrap(envoy), keys):
        yield f"http://127.0.0.1:{port}"


def ask(url: str, path: str, headers: Headers) -> httpx.Response:
    with httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False) as client:
        return client.get(path, headers=headers)


def told(response: httpx.Response) -> dict[str, Any]:
    """What a client can tell of an answer, and what the upstream was sent."""
    seen = {"status": response.status_code, "challenge": response.headers.get("www-authenticate")}
    if response.headers["content-type"] != "application/json":
        return {**seen, "body": response.text}
    body = response.json()
    if "error" in body:
        return {**seen, "error": {key: value for key, value in body["error"].items() if key != "request_id"}}
    return {**seen, "upstream": sorted((k, v) for k, v in body["headers"] if k not in OF_THE_REQUEST)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("asked", TABLE)
def test_an_answer(gateways: Mapping[str, Gateway], mode: str, asked: Row) -> None:
    response = ask(gateways[mode].url, asked.path, asked.headers())

    assert response.status_code == asked.status, response.text
    if asked.code is not None:
        assert response.json()["error"]["code"] == asked.code
    elif asked.path != "/answered":
        headers = dict(response.json()["headers"])
        assert {name: headers.get(name) for name in asked.upstream} == asked.upstream
        assert ("authorization" in headers) == (asked.path == "/public" and bool(asked.headers()))


@pytest.mark.parametrize("asked", TABLE)
def test_both_modes_tell_the_same(gateways: Mapping[str, Gateway], asked: Row) -> None:
    headers = asked.headers()

    by_service, by_envoy = (told(ask(gateways[mode].url, asked.path, headers)) for mode in MODES)

    assert by_envoy == by_service


@pytest.mark.parametrize("asked", TABLE)
def test_without_an_authorizer_envoy_passes_what_it_judges_and_nothing_else(alone: str, asked: Row) -> None:
    response = ask(alone, asked.path, asked.headers())

    if asked.native:
        assert response.status_code == 200, response.text
    else:
        assert (response.status_code, response.json()["error"]["code"]) == (503, "authorization_unavailable")
