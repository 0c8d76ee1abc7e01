"""Keys that issuers publish, through the whole gateway: rotated, withdrawn, and not to be had."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.authz import unpadded
from tests.support.certificates import Authority
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.idp import AUDIENCE, DISCOVERY, KEYS, Idp, running_idp
from tests.support.upstream import Upstream, running_upstream

ROUTE = {"name": "email", "match": {"path": "/email"}, "upstream": "email", "auth": ["jwt"]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as found:
        yield found


@pytest.fixture
def idp() -> Iterator[Idp]:
    with running_idp() as found:
        yield found


def accepted(name: str, idp: Idp, *, refresh: str = "1h", **issuer: Any) -> dict[str, Any]:
    keys = {"discovery": {"refresh": refresh, "private_addresses": "allow"}}
    return {
        "name": name,
        "issuer": idp.issuer,
        "audiences": [AUDIENCE],
        "algorithms": ["ES256"],
        "keys": keys,
        **issuer,
    }


def config(upstream: Upstream, *issuers: dict[str, Any]) -> dict[str, Any]:
    return {
        "upstreams": {"email": {"url": upstream.url}},
        "identity": {"jwt": issuers, "bearer_tokens": [{"name": "ops", "token": "the-token-of-the-operators"}]},
        "routes": [ROUTE, {**ROUTE, "name": "ops", "match": {"path": "/ops"}, "auth": ["bearer"]}],
    }


@dataclass(frozen=True)
class Shared:
    """A gateway for tests that each have an issuer of their own."""

    gateway: Gateway
    idps: Mapping[str, Idp]


@pytest.fixture(scope="module")
def shared(upstream: Upstream) -> Iterator[Shared]:
    with ExitStack() as stack:
        idps = {
            name: stack.enter_context(running_idp()) for name in ("by-url", "typed", "rotating", "asked", "withdrawing")
        }
        options: dict[str, dict[str, Any]] = {
            "by-url": {"keys": {"url": idps["by-url"].keys_url, "private_addresses": "allow"}},
            "typed": {"type": "at+jwt"},
            "withdrawing": {"refresh": "1s"},
        }
        issuers = [accepted(name, idp, **options.get(name, {})) for name, idp in idps.items()]
        yield Shared(stack.enter_context(running_gateway(config(upstream, *issuers))), idps)


def ask(client: httpx.Client, token: str, path: str = "/email") -> httpx.Response:
    return client.get(path, headers={"authorization": f"Bearer {token}"})


def statuses(client: httpx.Client, *tokens: str) -> list[int]:
    return [ask(client, token).status_code for token in tokens]


def metric(gateway: Gateway, name: str) -> float:
    text = httpx.get(f"{gateway.admin_url}/metrics", trust_env=False, verify=False).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


def is_ready(gateway: Gateway) -> bool:
    try:
        return httpx.get(f"{gateway.admin_url}/readyz", trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False


def test_the_issuer_alone_is_enough(upstream: Upstream, tmp_path: Path):
    """Over TLS, verified: only its address is one that has to be allowed."""
    authority = Authority()
    (tmp_path / "ca.crt").write_text(authority.pem)
    with (
        running_idp(authority=authority) as idp,
        running_gateway(
            config(upstream, accepted("accounts", idp)), {"SSL_CERT_FILE": str(tmp_path / "ca.crt")}
        ) as gateway,
        gateway.client() as client,
    ):
        assert idp.issuer.startswith("https://")
        assert statuses(client, idp.token()) == [200]
        assert statuses(client, idp.token("k1", aud="other"), idp.token("unpublished")) == [401, 401]
        assert set(idp.asked) == {DISCOVERY, KEYS}


def test_a_key_set_by_its_url(shared: Shared):
    idp = shared.idps["by-url"]
    with shared.gateway.client() as client:
        assert statuses(client, idp.token()) == [200]
        assert set(idp.asked) == {KEYS}


def test_a_type_that_tokens_must_have(shared: Shared):
    idp = shared.idps["typed"]
    with shared.gateway.client() as client:
        tokens = [idp.token(typ=name) for name in ("JWT", "at+jwt", "application/at+JWT", "it+jwt")]
        assert statuses(client, *tokens) == [401, 200, 200, 401]


def test_keys_rotate_without_a_failure(shared: Shared):
    """The issuer signs with a key that it has only just published: the first token with it is accepted."""
    idp = shared.idps["rotating"]
    with shared.gateway.client() as client:
        assert statuses(client, idp.token()) == [200]
        old = idp.token()

        idp.publish("k1", "k2")

        assert statuses(client, idp.token("k2"), old, idp.token("k2")) == [200] * 3
        assert idp.asked[KEYS] == 2


def test_a_withdrawn_key_ends_with_the_next_fetch(shared: Shared):
    idp = shared.idps["withdrawing"]
    with shared.gateway.client() as client:
        token = idp.token("k1")
        assert statuses(client, token) == [200]

        idp.publish("k2")

        until(lambda: statuses(client, token) == [401])
        assert statuses(client, idp.token("k2")) == [200]


def test_a_withdrawn_key_ends_though_the_file_is_broken(upstream: Upstream, idp: Idp):
    with (
        running_gateway(config(upstream, accepted("accounts", idp, refresh="1s"))) as gateway,
        gateway.client() as client,
    ):
        token = idp.token("k1")
        gateway.file.write_text("version: 2\n")
        until(lambda: gateway.status()["configuration"]["errors"])

        idp.publish("k2")

        until(lambda: statuses(client, token) == [401])
        assert statuses(client, idp.token("k2")) == [200]


def test_an_issuer_that_is_away_changes_nothing(upstream: Upstream, idp: Idp):
    """Its tokens go on, also after a restart; status and metrics say how old its keys are."""
    with (
        running_gateway(config(upstream, accepted("accounts", idp, refresh="1s"))) as gateway,
        gateway.client() as client,
    ):
        assert statuses(client, idp.token()) == [200]

        idp.stop()
        until(lambda: metric(gateway, "tollgate_key_set_fetch_failures_total") >= 2)

        assert statuses(client, idp.token()) == [200]
        assert is_ready(gateway)
        assert metric(gateway, "tollgate_key_set_age_seconds") > 0
        assert any("fetches failed" in problem for problem in gateway.status()["problems"])

        for name in ("control_plane", "authz_service"):
            restarted(gateway, name)
        until(lambda: statuses(client, idp.token()) == [200] and is_ready(gateway))


def restarted(gateway: Gateway, name: str) -> None:
    before = gateway.kill(name)
    until(lambda: running(gateway, name) not in {None, before})


def running(gateway: Gateway, name: str) -> int | None:
    try:
        return gateway.pid_of(name)
    except LookupError:
        return None


def test_an_issuer_that_is_away_at_the_start(upstream: Upstream, idp: Idp):
    """The gateway is up, and not ready: other credentials pass, its tokens are neither accepted nor refused."""
    idp.stop()
    token = idp.token()
    with running_gateway(config(upstream, accepted("accounts", idp))) as gateway, gateway.client() as client:
        answer = ask(client, token)

        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "keys_unavailable")
        assert ask(client, "the-token-of-the-operators", "/ops").status_code == 200
        assert not is_ready(gateway)
        assert any("not fetched yet" in problem for problem in gateway.status()["problems"])

        idp.start()
        until(lambda: statuses(client, token) == [200])
        until(lambda: is_ready(gateway))


@pytest.mark.parametrize("tokens", [400])
def test_tokens_with_invented_keys_cost_one_fetch(shared: Shared, tokens: int):
    """Their number is what counts, not the time that they take: one fetch was asked for, whoever came after."""
    idp = shared.idps["asked"]
    with shared.gateway.client() as client:
        good = idp.token()
        assert statuses(client, good) == [200]
        fetched = idp.asked[KEYS]

        forged = [re.sub("^[^.]+", header(f"invented-{number}"), good) for number in range(tokens)]
        began = time.monotonic()
        assert set(statuses(client, *forged)) == {401}

        rounds = 1 + int((time.monotonic() - began) // 30)
        assert 1 <= idp.asked[KEYS] - fetched <= rounds
        assert statuses(client, good) == [200]


def header(kid: str) -> str:
    return unpadded(json.dumps({"alg": "ES256", "typ": "JWT", "kid": kid}).encode())
