from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import shake_256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from service_kit.api_keys import Key, key_hash, new_key, written_hash
from tests.support.compiled import WIRING, written
from tests.support.envoy import static_envoy
from tests.support.gateway import Gateway, running_gateway, with_addresses
from tests.support.issuers import issuers
from tests.support.ports import free_port
from tests.support.recorder import Recorder, running_recorder

TOKEN = "a-bearer-token-for-tests"
SECRET = "an-hmac-secret-of-forty-bytes-for-tests."
# Of tokens that are signed with the secret.
ISSUER = "https://hmac.example.com"
PEPPER = "a pepper of thirty-two bytes, or more"
# Who judges the tokens of issuers with public keys.
SERVICE, ENVOY = JUDGES = ("service", "envoy")


def made(seed: str) -> Key:
    """An API key; the same seed is the same key."""
    numbers = count()
    return new_key(lambda size: shake_256(f"{seed} {next(numbers)}".encode()).digest(size))


# Of the consumer acme: one that opens everything, one without any scope, one for clients of another network.
GOOD_KEY, BARE_KEY, DISTANT_KEY = made("good"), made("bare"), made("distant")


@dataclass(frozen=True)
class Front:
    """An Envoy before two upstreams: one that only callers with a credential may reach, and one open to all."""

    port: int
    private: Recorder
    open: Recorder


@dataclass(frozen=True)
class Besieged(Front):
    """A whole gateway."""

    gateway: Gateway


def besieged_config(private: Recorder, public: Recorder, folder: Path, judge: str = SERVICE) -> dict[str, Any]:
    """Private routes beside, inside and below public ones, so that every confusion has somewhere to lead."""
    return {
        "defaults": {"auth": ["bearer", "jwt", "api_key"]},
        "identity": {
            "bearer_tokens": [{"name": "ops", "token": TOKEN, "subject": "ops", "tenant": "acme"}],
            "jwt": [
                {"name": "secrets", "issuer": ISSUER, "audiences": ["gateway"], "algorithms": ["HS256"],
                 "keys": {"secret": SECRET}},
                *issuers(folder, judge),
            ],
            "api_keys": {"query": "api_key", "cookie": "tollgate_key", "pepper": PEPPER},
        },
        "consumers": [
            {"name": "acme", "tenant": "acme", "keys": [
                {**_declared(GOOD_KEY), "scopes": ["email.send"]}, _declared(BARE_KEY),
                {**_declared(DISTANT_KEY), "allow_ips": ["203.0.113.7", "2001:db8::/32"]},
            ]},
        ],
        "plans": {"pro": {}},
        "upstreams": {"private": {"url": private.url}, "open": {"url": public.url}},
        "routes": [
            {"name": "private", "match": {"path": "/private/*"}, "upstream": "private"},
            {"name": "exact", "match": {"path": "/exact"}, "upstream": "private"},
            {"name": "inner", "match": {"path": "/public/admin/*"}, "upstream": "private"},
            {"name": "writes", "match": {"path": "/posts/*", "methods": ["POST"]}, "upstream": "private"},
            {"name": "hosted", "match": {"path": "/*", "hosts": ["admin.example.com"]}, "upstream": "private"},
            {"name": "wild", "match": {"path": "/*", "hosts": ["*.inside.example.com"]}, "upstream": "private"},
            {"name": "socket", "match": {"path": "/socket"}, "upstream": "private", "websocket": True},
            {"name": "bearers", "match": {"path": "/bearers/*"}, "upstream": "private", "auth": ["bearer"]},
            {"name": "jwts", "match": {"path": "/jwts/*"}, "upstream": "private", "auth": ["jwt"]},
            {"name": "scoped", "match": {"path": "/scoped/*"}, "upstream": "private",
             "require": {"scopes": ["email.send"]}},
            {"name": "anyone", "match": {"path": "/anyone/*"}, "upstream": "private",
             "auth": ["bearer", "jwt", "api_key", "anonymous"]},
            {"name": "per-subject", "match": {"path": "/per-subject"}, "upstream": "private",
             "limits": [{"requests": "1/hour", "per": "subject"}]},
            {"name": "per-address", "match": {"path": "/per-address"}, "upstream": "open", "auth": "none",
             "limits": [{"requests": "1/hour", "per": "ip"}]},
            {"name": "template", "match": {"path": "/x/{id}/admin"}, "upstream": "private"},
            {"name": "regex", "match": {"path_regex": "/x/(private|admin)([/;].*)?"}, "upstream": "private"},
            {"name": "header", "match": {"path": "/public/*", "headers": {"x-beta": "1"}}, "upstream": "private",
             "rewrite": "/"},
            {"name": "query", "match": {"path": "/posts/*", "query": {"admin": {"present": True}}},
             "upstream": [{"name": "private", "weight": 1}]},
            {"name": "reads", "match": {"path": "/posts/*", "methods": ["GET"]}, "upstream": "open", "auth": "none"},
            {"name": "public", "match": {"path": "/public/*"}, "upstream": "open", "auth": "none"},
            {"name": "rest", "match": {"path": "/*"}, "upstream": "open", "auth": "none"},
        ],
    }  # fmt: skip


def _declared(key: Key) -> dict[str, Any]:
    return {"id": key.id, "hash": written_hash(key_hash(PEPPER.encode(), key.text.encode()))}


@contextmanager
def under_siege(folder: Path, judge: str) -> Iterator[Besieged]:
    """Its authorizer logs every decision, the allowed ones too."""
    with (
        running_recorder() as private,
        running_recorder() as public,
        running_gateway(besieged_config(private, public, folder, judge), {"TOLLGATE_LOG_LEVEL": "debug"}) as gateway,
    ):
        yield Besieged(gateway.port, private, public, gateway)


@pytest.fixture(scope="session")
def judged_by_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """Every token is judged by the authorizer."""
    with under_siege(tmp_path_factory.mktemp("issuers"), SERVICE) as found:
        yield found


@pytest.fixture(scope="session")
def judged_by_envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """Envoy judges what it can."""
    with under_siege(tmp_path_factory.mktemp("issuers"), ENVOY) as found:
        yield found


@pytest.fixture(scope="session")
def unasked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Envoy alone: nobody answers for the authorizer."""
    folder, port = tmp_path_factory.mktemp("alone"), free_port()
    with running_recorder() as private, running_recorder() as public:
        config = with_addresses(besieged_config(private, public, folder), port, free_port())
        envoy, _ = snapshots(compile_file(written(folder, config), {}).gateway, WIRING)
        with static_envoy(static_bootstrap(envoy), folder):
            yield Front(port, private, public)


@pytest.fixture(params=JUDGES, scope="session")
def besieged(request: pytest.FixtureRequest) -> Besieged:
    """One of the two gateways, whose answers are the same."""
    found: Besieged = request.getfixturevalue(f"judged_by_{request.param}")
    return found
