"""The gateway's own tokens, judged by the authorizer alone and by Envoy where it can: the same answers. And what Envoy
does by itself when keys die, when it is told otherwise of them, and when signing keys turn.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt as pyjwt
import pytest

from service_kit.api_keys import key_hash, new_key
from service_kit.gateway_tokens import drawn_signing_key
from tests.e2e.test_enforcement import Headers, told
from tests.e2e.test_tokens import data, post, tollgate, use
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.issuers import issuers
from tests.support.issuers import token as accounts_token
from tests.support.own_tokens import current, put_ring, ring, signed_by
from tests.support.upstream import Upstream

ISSUER = "https://gateway.example.com"
PEPPER = b"a-pepper-of-at-least-thirty-two-bytes"
BEARER = "a-bearer-token-for-tests"
MODES = ("service", "envoy")
KEYS = {name: new_key(os.urandom) for name in ("open", "bare", "near", "far", "taken", "narrowed")}
SCOPES = ["email.read", "email.send"]


def declared(name: str, **more: Any) -> dict[str, Any]:
    key = KEYS[name]
    return {"id": key.id, "hash": f"hmac-sha256:{key_hash(PEPPER, key.text.encode()).hex()}", **more}


def config(folder: Path, upstream: str, enforce: str) -> dict[str, Any]:
    """Beside another issuer whose tokens are judged in the same place, and other credentials."""
    return {
        "defaults": {"auth": ["jwt", "bearer", "api_key"], "plan": "small"},
        "identity": {
            "jwt": issuers(folder, enforce)[:1],
            "bearer_tokens": [{"name": "ops", "token": BEARER}],
            "api_keys": {"headers": ["authorization", "x-api-key"], "query": "api_key", "cookie": "gate",
                         "pepper": PEPPER.decode()},
            "tokens": {"issuer": ISSUER, "audiences": ["email", "reports"], "enforce": enforce},
        },
        "plans": {"small": {}, "large": {}, "free": {}, "pro": {}},
        "consumers": [
            {"name": "acme", "tenant": "acme-corp", "plan": "large", "keys": [
                declared("open", scopes=SCOPES, roles=["ops"]),
                declared("near", allow_ips=["127.0.0.0/8"]),
                declared("far", allow_ips=["192.0.2.0/24"]),
                declared("taken", scopes=SCOPES),
                declared("narrowed", scopes=SCOPES),
            ]},
            {"name": "nobody", "keys": [declared("bare")]},
        ],
        "upstreams": {"echo": {"url": upstream}},
        "routes": [
            {"name": "any", "match": {"path": "/any"}, "upstream": "echo"},
            {"name": "scoped", "match": {"path": "/scoped"}, "upstream": "echo", "require": {"scopes": ["email.send"]}},
            {"name": "roles", "match": {"path": "/roles"}, "upstream": "echo", "require": {"roles": ["admin", "ops"]}},
            {"name": "planned", "match": {"path": "/planned"}, "upstream": "echo", "require": {"plans": ["large"]}},
            {"name": "reported", "match": {"path": "/reported"}, "upstream": "echo",
             "require": {"scopes": ["email.send"], "mode": "report"}},
            {"name": "bearer", "match": {"path": "/bearer"}, "upstream": "echo", "auth": ["bearer"]},
            {"name": "public", "match": {"path": "/public"}, "upstream": "echo", "auth": "none"},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("issuers")


@pytest.fixture(scope="module")
def gateways(upstream: Upstream, folder: Path) -> Iterator[Mapping[str, Gateway]]:
    with ExitStack() as stack:
        yield {mode: stack.enter_context(running_gateway(config(folder, upstream.url, mode))) for mode in MODES}


@pytest.fixture(scope="module")
def gateway(gateways: Mapping[str, Gateway]) -> Gateway:
    """The one whose Envoy judges."""
    return gateways["envoy"]


def claims(name: str = "open", **changes: object) -> dict[str, object]:
    """What a token for this key says, but for the changes."""
    now, key = int(time.time()), KEYS[name]
    bare = name == "bare"
    return {
        "iss": ISSUER, "aud": ["email", "reports"], "sub": "nobody" if bare else "acme", "client_id": key.id,
        "consumer": "nobody" if bare else "acme", "tenant": None if bare else "acme-corp",
        "plan": "small" if bare else "large", "scope": "email.read email.send" if name == "open" else "",
        "roles": ["ops"] if name == "open" else [], "key_id": key.id, "anywhere": name not in {"near", "far"},
        "jti": "a-token", "iat": now, "nbf": now, "exp": now + 300, **changes,
    }  # fmt: skip


def later(seconds: int) -> int:
    return int(time.time()) + seconds


@dataclass(frozen=True)
class Row:
    """A request, and what is answered; `native` where Envoy answers without asking."""

    made: Callable[[], Mapping[str, object]]
    path: str = "/any"
    status: int = 200
    code: str | None = None
    native: bool = False
    header: Mapping[str, object] = field(default_factory=dict)
    beside: tuple[tuple[str, str], ...] = ()
    prefix: str = "Bearer "

    def headers(self, gateway: Gateway) -> Headers:
        token = signed_by(current(ring(gateway, PEPPER)), self.made(), **self.header)
        return [("authorization", self.prefix + token), *self.beside]


ROWS = {
    "good": Row(claims, native=True),
    "of-a-key-without-anything": Row(lambda: claims("bare"), native=True),
    "narrowed": Row(lambda: claims(scope="email.send"), native=True),
    "for-one-audience": Row(lambda: claims(aud="reports"), native=True),
    "soon-within-the-leeway": Row(lambda: claims(iat=later(7), nbf=later(7)), native=True),
    "two-spaces": Row(claims, native=True, prefix="Bearer  "),
    "type-spelt-out": Row(claims, native=True, header={"typ": "application/at+jwt"}),
    "spoofed-headers": Row(claims, native=True, beside=(
        ("x-tollgate-subject", "root"), ("x-tollgate-consumer", "root"), ("x-tollgate-key-id", "root"),
        ("x-tollgate-tenant", "root"), ("x-tollgate-plan", "root"), ("x-tollgate-profile", "root"),
    )),
    "of-a-key-for-some-models": Row(lambda: claims(models=",a,org/b:1@v*,"), native=True),
    "of-a-key-for-no-model": Row(lambda: claims(models=","), native=True),
    "models-without-signs": Row(lambda: claims(models="a")),
    "models-in-a-list": Row(lambda: claims(models=["a"])),
    "scheme-in-small-letters": Row(claims, prefix="bearer "),
    "ended-within-the-leeway": Row(lambda: claims(iat=later(-200), nbf=later(-200), exp=later(-3))),
    "of-an-older-gateway": Row(lambda: claims(anywhere=None, tenant=None)),
    "of-a-key-for-some-addresses": Row(lambda: claims("near")),
    "of-a-key-for-others": Row(lambda: claims("far"), status=403, code="address_not_allowed"),
    "scope": Row(claims, "/scoped", native=True),
    "role": Row(claims, "/roles", native=True),
    "plan": Row(claims, "/planned", native=True),
    "reported-and-held": Row(claims, "/reported", native=True),
    "reported-and-lacked": Row(lambda: claims(scope=""), "/reported"),
    "public": Row(claims, "/public", native=True),
    "no-scope": Row(lambda: claims(scope="email.sender"), "/scoped", 403, "missing_scope"),
    "no-role": Row(lambda: claims("bare"), "/roles", 403, "missing_role"),
    "another-plan": Row(lambda: claims("bare"), "/planned", 403, "missing_plan"),
    "where-only-bearers": Row(claims, "/bearer", 401, "credential_not_accepted"),
    "expired": Row(lambda: claims(exp=later(-11)), status=401, code="expired_token"),
    "premature": Row(lambda: claims(nbf=later(60)), status=401, code="premature_token"),
    "lives-too-long": Row(lambda: claims(exp=later(330)), status=401, code="invalid_claim"),
    "foreign-audience": Row(lambda: claims(aud="elsewhere"), status=401, code="wrong_audience"),
    "foreign-issuer": Row(lambda: claims(iss="https://elsewhere"), status=401, code="invalid_token"),
    "claims-of-the-other-issuer": Row(lambda: claims(iss="https://accounts.example.com"), status=401,
                                      code="invalid_token"),
    "another-type": Row(claims, status=401, code="invalid_token", header={"typ": "JWT"}),
    "another-key": Row(claims, status=401, code="invalid_token", header={"kid": "k1"}),
    "unknown-extension": Row(claims, status=401, code="invalid_token", header={"crit": ["x"], "x": 1}),
    "of-no-key": Row(lambda: claims(key_id=None), status=401, code="invalid_claim"),
    "of-a-number": Row(lambda: claims(key_id=7), status=401, code="invalid_claim"),
    "of-nobody": Row(lambda: claims(sub=None), status=401, code="invalid_claim"),
    "beside-a-key": Row(claims, status=400, code="ambiguous_credentials", beside=(("x-api-key", "a"),)),
    "beside-a-bearer": Row(claims, status=400, code="ambiguous_credentials",
                           beside=(("authorization", f"Bearer {BEARER}"),)),
    "beside-a-key-in-the-query": Row(claims, "/any?api_key=a", 400, "ambiguous_credentials"),
    "beside-a-cookie": Row(claims, status=400, code="ambiguous_credentials", beside=(("cookie", "gate=a"),)),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_both_modes_tell_the_same(gateways: Mapping[str, Gateway], name: str) -> None:
    row = ROWS[name]
    answers = {mode: get(at, row.path, row.headers(at)) for mode, at in gateways.items()}

    by_service, by_envoy = (told(answers[mode]) for mode in MODES)
    assert without_credential(by_envoy) == without_credential(by_service)
    assert (by_envoy["status"], by_envoy.get("error", {}).get("code")) == (row.status, row.code)
    assert judged_by_envoy(gateways["envoy"], answers["envoy"]) == row.native


def without_credential(seen: dict[str, Any]) -> dict[str, Any]:
    """Each gateway has signing keys of its own, so its tokens differ where a public route forwards them."""
    return {**seen, "upstream": [(name, value) for name, value in seen.get("upstream", ()) if name != "authorization"]}


def get(at: Gateway, path: str, headers: Headers) -> httpx.Response:
    with at.client() as client:
        return client.get(path, headers=headers)


def judged_by_envoy(at: Gateway, answer: httpx.Response) -> bool:
    """Whether it passed, and nobody was asked."""
    return answer.status_code == 200 and at.logged(answer.headers["x-request-id"])["decision"] is None


def test_tokens_of_another_issuer_are_judged_beside_them(gateways: Mapping[str, Gateway]) -> None:
    answers = [get(gateways[mode], "/any", [("authorization", f"Bearer {accounts_token(org='x', plan='pro')}")])
               for mode in MODES]  # fmt: skip
    parts = [{name: value for name, value in told(item)["upstream"] if "consumer" not in name} for item in answers]

    assert parts[0] == parts[1]
    assert (parts[1]["x-tollgate-subject"], parts[1]["x-tollgate-tenant"]) == ("ada", "x")
    assert judged_by_envoy(gateways["envoy"], answers[1])


def made(gateway: Gateway, consumer: str, *more: str) -> Any:
    """A stored key."""
    return data(gateway, "keys", "create", "--consumer", consumer, *more)


def exchanged(gateway: Gateway, text: str) -> str:
    answer = post(gateway, {"grant_type": "client_credentials"}, headers={"authorization": f"Bearer {text}"})
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def is_native(gateway: Gateway, access_token: str) -> bool:
    return judged_by_envoy(gateway, use(gateway, access_token, "any"))


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def listener_version(gateway: Gateway) -> str:
    """Of the listeners that Envoy runs."""
    (envoy,) = (node for node in gateway.status()["nodes"] if node["cluster"] == "tollgate-envoy")
    return envoy["types"]["type.googleapis.com/envoy.config.listener.v3.Listener"]["acked"]


@pytest.fixture
def stopped(gateway: Gateway) -> Iterator[Callable[[], None]]:
    """Stops the authorizer, who then answers nothing until the test ends."""
    pid = gateway.pid_of("authz_service")
    yield lambda: os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)
    until(lambda: get(gateway, "/any", [("authorization", f"Bearer {BEARER}")]).status_code == 200)


def test_without_an_authorizer_tokens_pass_but_for_those_whose_key_is_gone(
    gateway: Gateway, stopped: Callable[[], None]
) -> None:
    key, other = made(gateway, "acme"), made(gateway, "acme")
    living, kept = exchanged(gateway, key["key"]), exchanged(gateway, other["key"])
    stopped()
    assert [use(gateway, item, "any").status_code for item in (living, kept, living)] == [200, 200, 200]

    revoked = tollgate(gateway, "keys", "revoke", key["id"], "--json")
    waiting = json.loads(revoked.stdout)["told"]["waiting"]
    assert [name.startswith("authz_service") for name in waiting] == [True], "Envoy knows, the authorizer cannot say so"
    assert refusal(use(gateway, living, "any")) == (503, "authorization_unavailable")
    assert use(gateway, kept, "any").status_code == 200


def test_a_token_dies_with_its_key_at_once_on_open_connections_and_no_listener_moves(gateway: Gateway) -> None:
    key, other = made(gateway, "acme"), made(gateway, "acme")
    living, kept = exchanged(gateway, key["key"]), exchanged(gateway, other["key"])
    before = listener_version(gateway)
    with gateway.client(headers={"authorization": f"Bearer {living}"}) as client:
        answer = client.get("/any")
        assert judged_by_envoy(gateway, answer)
        assert dict(answer.json()["headers"])["x-tollgate-key-id"] == key["id"]

        assert data(gateway, "keys", "revoke", key["id"])["told"]["waiting"] == []
        refused = client.get("/any")

    assert refusal(refused) == (401, "invalid_token")
    assert "connection" not in refused.headers
    assert is_native(gateway, kept)
    assert listener_version(gateway) == before


def test_an_envoy_that_does_not_know_yet_is_named(gateway: Gateway) -> None:
    key = made(gateway, "acme")
    pid = gateway.pid_of("--file-flush-interval-msec")  # the control plane is told where Envoy is, too
    os.kill(pid, signal.SIGSTOP)
    try:
        revoked = tollgate(gateway, "keys", "revoke", key["id"], "--json")
    finally:
        os.kill(pid, signal.SIGCONT)

    (envoy,) = (node["node"] for node in gateway.status()["nodes"] if node["cluster"] == "tollgate-envoy")
    assert json.loads(revoked.stdout)["told"]["waiting"] == [envoy]
    assert revoked.exit_code == 3


def test_what_a_consumer_becomes_counts_for_its_living_tokens(gateway: Gateway) -> None:
    consumer = f"moving-{time.time_ns()}"
    data(gateway, "consumers", "create", consumer, "--plan", "small", "--tenant", "before")
    key = made(gateway, consumer)
    living = exchanged(gateway, key["key"])
    assert parts(use(gateway, living, "any")) == ("before", "small")
    assert is_native(gateway, living)

    data(gateway, "consumers", "update", consumer, "--plan", "large", "--tenant", "after")
    assert parts(use(gateway, living, "any")) == ("after", "large")

    data(gateway, "consumers", "delete", consumer)
    assert refusal(use(gateway, living, "any")) == (401, "invalid_token")


def parts(answer: httpx.Response) -> tuple[str, str]:
    headers = dict(answer.json()["headers"])
    return headers["x-tollgate-tenant"], headers["x-tollgate-plan"]


def test_a_rotated_key_ends_its_tokens_when_it_ends(gateway: Gateway) -> None:
    key = made(gateway, "acme")
    living = exchanged(gateway, key["key"])
    assert is_native(gateway, living)

    fresh = data(gateway, "keys", "rotate", key["id"], "--overlap", "2s")
    until(lambda: use(gateway, living, "any").status_code == 401)

    assert is_native(gateway, exchanged(gateway, fresh["key"]))


def test_a_declared_key_that_is_dropped_or_changed_is_looked_at_anew(
    gateway: Gateway, upstream: Upstream, folder: Path
) -> None:
    taken, narrowed, kept = (exchanged(gateway, KEYS[name].text) for name in ("taken", "narrowed", "open"))
    scoped = [use(gateway, item, "scoped") for item in (taken, narrowed, kept)]
    assert [judged_by_envoy(gateway, answer) for answer in scoped] == [True, True, True]

    written = config(folder, upstream.url, "envoy")
    acme = written["consumers"][0]["keys"]
    acme[:] = [item for item in acme if item["id"] != KEYS["taken"].id]
    next(item for item in acme if item["id"] == KEYS["narrowed"].id)["scopes"] = ["email.read"]
    gateway.write(written)
    try:
        until(lambda: use(gateway, taken, "scoped").status_code == 401)
        until(lambda: use(gateway, narrowed, "scoped").status_code == 403)
        assert judged_by_envoy(gateway, use(gateway, kept, "scoped"))
    finally:
        gateway.write(config(folder, upstream.url, "envoy"))
        until(lambda: use(gateway, taken, "scoped").status_code == 200)


def test_replaced_signing_keys_end_all_tokens_at_once(gateway: Gateway) -> None:
    old = exchanged(gateway, KEYS["open"].text)
    with gateway.client(headers={"authorization": f"Bearer {old}"}) as client:
        assert judged_by_envoy(gateway, client.get("/any"))

        assert data(gateway, "signing-keys", "replace")["told"]["waiting"] == []
        assert refusal(client.get("/any")) == (401, "invalid_token")

    assert is_native(gateway, exchanged(gateway, KEYS["open"].text))


def test_when_signing_keys_turn_old_and_new_tokens_pass(gateway: Gateway) -> None:
    before = listener_version(gateway)
    (old,) = ring(gateway, PEPPER)
    new = drawn_signing_key(later(2), os.urandom)
    living = exchanged(gateway, KEYS["open"].text)
    put_ring(gateway, PEPPER, (old, new))

    until(lambda: is_native(gateway, signed_by(new, claims())))
    fresh = until(lambda: by(new.id, exchanged(gateway, KEYS["open"].text)))

    assert [is_native(gateway, item) for item in (living, fresh)] == [True, True]
    assert listener_version(gateway) == before


def by(kid: str, token: str) -> str | None:
    """The token, if this key has signed it."""
    return token if pyjwt.get_unverified_header(token)["kid"] == kid else None
