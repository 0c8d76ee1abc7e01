import time
from collections.abc import Iterator

import jwt
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.ports import deaf_port, free_port
from tests.support.upstream import Upstream, running_upstream

SECRET = "an-hmac-secret-of-forty-bytes-for-tests."
TOKEN = "a-bearer-token-for-tests"
ISSUER = "https://accounts.example.com"


def shared_config(upstream: Upstream, dead_port: int, deaf_port: int) -> dict:
    """Every kind of route that a client can see the difference of."""
    return {
        "defaults": {"auth": ["bearer", "jwt"]},
        "identity": {
            "bearer_tokens": [
                {"name": "ops", "token": TOKEN, "subject": "ops", "tenant": "acme", "scopes": ["email.send"]},
                {"name": "lost", "token": "a-bearer-token-with-a-plan", "plan": "small"},
            ],
            "jwt": [
                {
                    "name": "accounts", "issuer": ISSUER, "audiences": ["gateway"], "algorithms": ["HS256"],
                    "keys": {"secret": SECRET},
                    "claims": {"tenant": "org", "plan": "plan"},
                },
            ],
        },
        "plans": {"small": {"limits": [{"requests": "3/hour"}]}},
        "upstreams": {
            "echo": {"url": upstream.url},
            "dead": {"url": f"http://127.0.0.1:{dead_port}"},
            "deaf": {"url": f"http://127.0.0.1:{deaf_port}", "connect_timeout": "200ms"},
        },
        "routes": [
            {"name": "private", "match": {"path": "/private/*"}, "upstream": "echo", "rewrite": "/"},
            {"name": "scoped", "match": {"path": "/scoped/*"}, "upstream": "echo",
             "require": {"scopes": ["email.send"]}},
            {"name": "forbidden", "match": {"path": "/forbidden"}, "upstream": "echo", "require": {"roles": ["admin"]}},
            {"name": "public", "match": {"path": "/public/*"}, "upstream": "echo", "auth": "none"},
            {"name": "exact", "match": {"path": "/exact", "methods": ["GET"]}, "upstream": "echo", "auth": "none"},
            {"name": "moved", "match": {"path": "/moved/*"}, "upstream": "echo", "auth": "none", "rewrite": "/v2"},
            {"name": "hosted", "match": {"path": "/*", "hosts": ["api.example.com"]}, "upstream": "echo",
             "auth": "none", "rewrite": "/hosted"},
            {"name": "wild", "match": {"path": "/*", "hosts": ["*.example.org"]}, "upstream": "echo",
             "auth": "none", "rewrite": "/wild"},
            {"name": "dead", "match": {"path": "/dead"}, "upstream": "dead", "auth": "none"},
            {"name": "deaf", "match": {"path": "/deaf"}, "upstream": "deaf", "auth": "none"},
            {"name": "status", "match": {"path": "/status/*"}, "upstream": "echo", "auth": "none"},
            {"name": "slow", "match": {"path": "/silent/*"}, "upstream": "echo", "auth": "none", "timeout": "300ms"},
            {"name": "slow-start", "match": {"path": "/slow-start/*"}, "upstream": "echo", "auth": "none",
             "rewrite": "/silent", "streaming": True, "timeout": "300ms"},
            {"name": "stream", "match": {"path": "/stream"}, "upstream": "echo", "auth": "none", "streaming": True,
             "timeout": "2s"},
            {"name": "idle", "match": {"path": "/idle/*"}, "upstream": "echo", "auth": "none", "rewrite": "/silent",
             "idle_timeout": "300ms"},
            {"name": "brief", "match": {"path": "/brief/*"}, "upstream": "echo", "auth": "none", "rewrite": "/",
             "streaming": True, "max_duration": "500ms"},
            {"name": "socket", "match": {"path": "/socket"}, "upstream": "echo", "websocket": True, "rewrite": "/ws"},
            {"name": "note", "match": {"path": "/note"}, "upstream": "echo", "auth": "none", "body_limit": "1KiB"},
            {"name": "big", "match": {"path": "/big"}, "upstream": "echo", "auth": "none", "body_limit": "16MiB"},
            {"name": "per-address", "match": {"path": "/per-address"}, "upstream": "echo", "auth": "none",
             "limits": [{"requests": "2/hour", "per": "ip"}]},
        ],
    }  # fmt: skip


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture(scope="session")
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    """One gateway for all tests that leave it as it was."""
    with deaf_port() as deaf, running_gateway(shared_config(upstream, free_port(), deaf)) as running:
        yield running


@pytest.fixture
def bearer() -> dict[str, str]:
    return {"authorization": f"Bearer {TOKEN}"}


def token_with(**claims: object) -> str:
    """A JWT of the test's issuer, valid unless the claims make it otherwise."""
    now = int(time.time())
    base = {"iss": ISSUER, "aud": "gateway", "sub": "alice", "iat": now, "exp": now + 60}
    return jwt.encode({**base, **claims}, SECRET, "HS256")
