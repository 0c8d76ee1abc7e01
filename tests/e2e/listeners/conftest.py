"""One gateway with a listener of each kind."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import Authority
from tests.support.gateway import Gateway, running_gateway
from tests.support.ports import free_port
from tests.support.upstream import Upstream, running_upstream

TOKEN = "a-bearer-token-for-tests"
NAMES = ("tls", "modern", "asking", "redirect", "standard", "proxied", "small", "zstd", "local")


@dataclass(frozen=True)
class Front:
    """The gateway's listeners, and who signed their certificates and those of clients."""

    gateway: Gateway
    upstream: Upstream
    ports: dict[str, int]
    authority: Authority
    clients: Authority
    folder: Path

    def url(self, listener: str, scheme: str = "https") -> str:
        return f"{scheme}://localhost:{self.ports[listener]}"

    def trust(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """A context that trusts the gateway's authority, and shows a certificate where one is given."""
        context = ssl.create_default_context(cadata=self.authority.pem)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def get(
        self, listener: str, path: str, *, certificate: tuple[Path, Path] | None = None, http2: bool = False,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        with httpx.Client(verify=self.trust(certificate), http2=http2, trust_env=False) as client:
            return client.get(f"{self.url(listener)}{path}", headers=headers)

    def certificate_of(self, authority: Authority, name: str) -> tuple[Path, Path]:
        """A client's certificate and key, as files."""
        certificate, key = authority.issue("client")
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_text(certificate)
        files[1].write_text(key)
        return files


def pair(authority: Authority) -> dict[str, str]:
    certificate, key = authority.issue("localhost")
    return {"certificate": certificate, "private_key": key}


def listeners(ports: dict[str, int], authority: Authority, clients: Authority) -> dict:
    address = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    asking = {**pair(authority), "client_ca": clients.pem}
    return {
        "tls": {
            "address": address["tls"], "tls": pair(authority), "http3": True, "trusted_proxies": ["127.66.0.0/16"],
        },
        "local": {
            "address": address["local"], "tls": pair(authority), "http3": True, "trusted_proxies": ["127.0.0.0/8"],
        },
        "modern": {"address": address["modern"], "tls": {**asking, "minimum_version": "1.3"}, "http3": True},
        "asking": {"address": address["asking"], "tls": {**asking, "client_certificate": "optional"}},
        "redirect": {"address": address["redirect"], "https_redirect": ports["tls"]},
        "standard": {"address": address["standard"], "https_redirect": 443},
        "proxied": {
            "address": address["proxied"], "trusted_proxies": ["127.66.0.0/16", "10.0.0.0/8", "2001:db8::/32"],
            "compression": ["gzip", "brotli"],
        },
        "small": {"address": address["small"], "max_connections": 3},
        "zstd": {"address": address["zstd"], "compression": ["zstd", "gzip"]},
    }  # fmt: skip


def routes(upstream: Upstream) -> dict:
    return {
        "identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN, "subject": "ops"}]},
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [
            {"name": "private", "match": {"path": "/private/*"}, "upstream": "echo", "auth": ["bearer"]},
            {"name": "public", "match": {"path": "/public/*"}, "upstream": "echo", "auth": "none", "rewrite": "/"},
            {"name": "stream", "match": {"path": "/stream"}, "upstream": "echo", "auth": "none", "streaming": True},
            {"name": "inside", "match": {"path": "/inside"}, "upstream": "echo", "auth": "none",
             "allow_ips": ["203.0.113.0/24"]},
            {"name": "limited", "match": {"path": "/limited"}, "upstream": "echo", "auth": "none",
             "limits": [{"requests": "2/hour", "per": "ip"}]},
        ],
    }  # fmt: skip


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """For all tests that leave it as it was."""
    ports = {name: free_port() for name in NAMES}
    authority, clients = Authority(), Authority("authority of clients")
    with running_upstream() as upstream:
        config = {**routes(upstream), "listeners": listeners(ports, authority, clients)}
        with running_gateway(config) as gateway:
            yield Front(gateway, upstream, ports, authority, clients, tmp_path_factory.mktemp("clients"))
