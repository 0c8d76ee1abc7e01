from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.recorder import Recorder, running_recorder

TOKEN = "a-bearer-token-for-tests"
SECRET = "an-hmac-secret-of-forty-bytes-for-tests."
ISSUER = "https://accounts.example.com"


@dataclass(frozen=True)
class Besieged:
    """A gateway before two upstreams: one that only callers with a credential may reach, and one open to all."""

    gateway: Gateway
    private: Recorder
    open: Recorder


def besieged_config(private: Recorder, public: Recorder) -> dict:
    """Private routes beside, inside and below public ones, so that every confusion has somewhere to lead."""
    return {
        "defaults": {"auth": ["bearer", "jwt"]},
        "identity": {
            "bearer_tokens": [{"name": "ops", "token": TOKEN, "subject": "ops", "tenant": "acme"}],
            "jwt": [
                {"name": "accounts", "issuer": ISSUER, "audiences": ["gateway"], "algorithms": ["HS256"],
                 "keys": {"secret": SECRET}},
            ],
        },
        "upstreams": {"private": {"url": private.url}, "open": {"url": public.url}},
        "routes": [
            {"name": "private", "match": {"path": "/private/*"}, "upstream": "private"},
            {"name": "exact", "match": {"path": "/exact"}, "upstream": "private"},
            {"name": "inner", "match": {"path": "/public/admin/*"}, "upstream": "private"},
            {"name": "writes", "match": {"path": "/posts/*", "methods": ["POST"]}, "upstream": "private"},
            {"name": "hosted", "match": {"path": "/*", "hosts": ["admin.example.com"]}, "upstream": "private"},
            {"name": "socket", "match": {"path": "/socket"}, "upstream": "private", "websocket": True},
            {"name": "bearers", "match": {"path": "/bearers/*"}, "upstream": "private", "auth": ["bearer"]},
            {"name": "jwts", "match": {"path": "/jwts/*"}, "upstream": "private", "auth": ["jwt"]},
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


@pytest.fixture(scope="session")
def besieged() -> Iterator[Besieged]:
    """Its authorizer logs every decision, the allowed ones too."""
    with (
        running_recorder() as private,
        running_recorder() as public,
        running_gateway(besieged_config(private, public), {"TOLLGATE_LOG_LEVEL": "debug"}) as gateway,
    ):
        yield Besieged(gateway, private, public)
