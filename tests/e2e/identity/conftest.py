"""One gateway that takes every kind of credential, in every place, and an upstream that says what reached it."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_256
from itertools import count
from pathlib import Path

import httpx
import pytest

from service_kit.api_keys import Key, key_hash, new_key, written_hash
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, running_gateway
from tests.support.ports import free_port
from tests.support.upstream import Upstream, running_upstream

Headers = dict[str, str] | list[tuple[str, str]] | list[tuple[bytes, bytes]]
PEPPER = "a pepper of thirty-two bytes, or more"
TOKEN = "a-bearer-token-for-tests"
PLAIN, PROXIED, CERTIFIED = LISTENERS = ("plain", "proxied", "certified")
BILLING = "spiffe://example.org/billing"


def keys() -> dict[str, Key]:
    """A key of each kind."""
    numbers = count()
    names = ("good", "scoped", "expired", "local", "elsewhere", "behind", "gold", "other", "lost-plan")
    return {name: new_key(lambda size: shake_256(b"%d" % next(numbers)).digest(size)) for name in names}


@dataclass(frozen=True)
class Front:
    """The gateway by its listeners, and who signs certificates of clients."""

    gateway: Gateway
    ports: dict[str, int]
    keys: dict[str, Key]
    authority: Authority
    clients: Authority
    folder: Path

    def get(
        self, path: str, *, listener: str = PLAIN, headers: Headers | None = None,
        certificate: tuple[str, ...] | None = None,
    ) -> httpx.Response:  # fmt: skip
        scheme = "https" if listener == CERTIFIED else "http"
        with httpx.Client(verify=self._trust(certificate), trust_env=False) as client:
            return client.get(f"{scheme}://localhost:{self.ports[listener]}{path}", headers=headers)

    def key(self, name: str) -> str:
        return self.keys[name].text

    def _trust(self, names: tuple[str, ...] | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.pem)
        if names is not None:
            file = self.folder / f"{abs(hash(names))}.pem"
            file.write_text("".join(self.clients.issue(*names)))
            context.load_cert_chain(file)
        return context


def seen(response: httpx.Response) -> dict[str, str]:
    """The headers that reached the upstream."""
    assert response.status_code == 200, response.text
    return dict(response.json()["headers"])


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def config(ports: dict[str, int], upstream: Upstream, authority: Authority, clients: Authority) -> dict:
    certificate, private_key = authority.issue("localhost")
    known, consumers = keys(), ("acme", "partners")
    of: dict[str, dict] = {
        "good": {}, "scoped": {"scopes": ["email.send"], "roles": ["admin"]}, "expired": {"expires": "2020-01-01"},
        "local": {"allow_ips": ["127.0.0.0/8"]}, "elsewhere": {"allow_ips": ["203.0.113.0/24"]},
        "behind": {"allow_ips": ["203.0.113.7"]}, "gold": {"plan": "gold"}, "other": {},
        "lost-plan": {"plan": "gold"},
    }  # fmt: skip
    declared = {
        name: {"id": key.id, "hash": written_hash(key_hash(PEPPER.encode(), key.text.encode())), **of[name]}
        for name, key in known.items()
    }
    return {
        "listeners": {
            PLAIN: {"address": f"127.0.0.1:{ports[PLAIN]}"},
            PROXIED: {"address": f"127.0.0.1:{ports[PROXIED]}", "trusted_proxies": ["127.0.0.0/8"]},
            CERTIFIED: {
                "address": f"127.0.0.1:{ports[CERTIFIED]}",
                "tls": {"certificate": certificate, "private_key": private_key, "client_ca": clients.pem,
                        "client_certificate": "optional"},
            },
        },
        "identity": {
            "api_keys": {"query": "api_key", "cookie": "tollgate_key", "pepper": PEPPER},
            "bearer_tokens": [{"name": "ops", "token": TOKEN}],
            "mtls": {"subject": "spiffe", "clients": [
                {"name": BILLING, "consumer": "acme", "scopes": ["email.send"]},
                {"name": "spiffe://example.org/jobs/*", "roles": ["job"]},
            ]},
        },
        "plans": {"free": {}, "gold": {}},
        "defaults": {"plan": "free"},
        "consumers": [
            {"name": consumers[0], "tenant": "acme-inc", "keys": [declared[name] for name in known if name != "other"]},
            {"name": consumers[1], "plan": "gold", "keys": [declared["other"]]},
        ],
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [
            {"name": "keys", "match": {"path": "/keys/*"}, "upstream": "echo", "auth": ["api_key"], "rewrite": "/"},
            {"name": "any", "match": {"path": "/any/*"}, "upstream": "echo", "auth": ["api_key", "bearer"]},
            {"name": "tokens", "match": {"path": "/tokens"}, "upstream": "echo", "auth": ["bearer"]},
            {"name": "scoped", "match": {"path": "/scoped"}, "upstream": "echo", "auth": ["api_key"],
             "require": {"scopes": ["email.send"], "roles": ["admin"]}},
            {"name": "gold", "match": {"path": "/gold"}, "upstream": "echo", "auth": ["api_key"],
             "require": {"plans": ["gold"]}},
            {"name": "tried", "match": {"path": "/tried"}, "upstream": "echo", "auth": ["api_key", "anonymous"],
             "require": {"plans": ["gold"], "scopes": ["email.send"], "mode": "report"}},
            {"name": "open", "match": {"path": "/open"}, "upstream": "echo", "auth": ["api_key", "anonymous"]},
            {"name": "certified", "match": {"path": "/certified"}, "upstream": "echo", "auth": ["mtls"]},
            {"name": "either", "match": {"path": "/either"}, "upstream": "echo", "auth": ["mtls", "bearer"]},
            {"name": "moved", "match": {"path": "/moved"}, "redirect": {"path": "/away"}, "auth": ["api_key"]},
            {"name": "public", "match": {"path": "/public"}, "upstream": "echo", "auth": "none"},
        ],
    }  # fmt: skip


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    ports = {name: free_port() for name in LISTENERS}
    authority, clients = Authority(), Authority("authority of clients")
    with (
        running_upstream() as upstream,
        running_gateway(config(ports, upstream, authority, clients)) as gateway,
    ):
        yield Front(gateway, ports, keys(), authority, clients, tmp_path_factory.mktemp("certificates"))
