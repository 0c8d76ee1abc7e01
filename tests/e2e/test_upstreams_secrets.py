"""Credentials, certificates and keys for upstreams: where they go and where not, and that they are replaced live."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import Authority
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.tls_peer import tls_peer
from tests.support.upstream import running_upstream

FIRST, SECOND = "the-first-key-of-the-upstream", "the-second-key-of-the-upstream"


@dataclass(frozen=True)
class Rotating:
    """A gateway whose secrets lie in a folder, and the authorities that can be put there."""

    gateway: Gateway
    folder: Path
    old: Authority
    new: Authority

    def write(self, name: str, text: str) -> None:
        """In one step, as a mounted secret changes."""
        fresh = self.folder / f"{name}.new"
        fresh.write_text(text)
        fresh.rename(self.folder / name)

    def dump(self) -> str:
        """Everything that Envoy's admin interface tells of its configuration."""
        socket = next((self.gateway.folder / "state").rglob("envoy*.sock"))
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://envoy") as admin:
            return admin.get("/config_dump?include_eds").text


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotating]:
    folder = tmp_path_factory.mktemp("secrets")
    old, new, server = Authority("old"), Authority("new"), Authority("server")
    with ExitStack() as stack:
        upstream = stack.enter_context(running_upstream())
        moved = stack.enter_context(tls_peer(tmp_path_factory.mktemp("moved"), new.issue("127.0.0.1")))
        mutual = stack.enter_context(
            tls_peer(tmp_path_factory.mktemp("mutual"), server.issue("127.0.0.1"), client_ca=new.pem)
        )
        certificate, key = old.issue("gateway")
        for name, text in {"key": FIRST, "ca": old.pem, "crt": certificate, "pk": key, "server": server.pem}.items():
            (folder / name).write_text(text)
        pair = {"certificate": f"file:{folder}/crt", "private_key": f"file:{folder}/pk"}
        upstreams = {
            "keyed": {"url": upstream.url, "credential": {"header": "x-api-key", "value": f"file:{folder}/key"}},
            "basic": {"url": upstream.url, "credential": {"header": "authorization", "value": "Basic dXNlcjpwYXNz"}},
            "moved": {"url": f"https://127.0.0.1:{moved}", "tls": {"ca": f"file:{folder}/ca"}},
            "mutual": {"url": f"https://127.0.0.1:{mutual}", "tls": {"ca": f"file:{folder}/server", **pair}},
        }
        routes = [
            {"name": name, "match": {"path": f"/{name}/*"}, "upstream": name, "auth": "none"} for name in upstreams
        ]
        gateway = stack.enter_context(running_gateway({"upstreams": upstreams, "routes": routes}))
        yield Rotating(gateway, folder, old, new)


def seen(response: httpx.Response, header: str) -> list[str]:
    """The values of a header that reached the upstream."""
    assert response.status_code == 200, response.text
    return [value for name, value in response.json()["headers"] if name == header]


@pytest.mark.parametrize(
    ("upstream", "header", "value"),
    [
        pytest.param("keyed", "x-api-key", FIRST, id="a header of the upstream's own"),
        pytest.param("basic", "authorization", "Basic dXNlcjpwYXNz", id="authorization"),
    ],
)
def test_the_upstream_gets_the_gateways_credential_and_not_the_clients(rotating: Rotating, upstream, header, value):
    rotating.write("key", FIRST)
    with rotating.gateway.client() as client:
        until(lambda: seen(client.get(f"/{upstream}/x"), header) == [value])
        spoofed = client.get(f"/{upstream}/x", headers=[(header, "mine"), (header, "mine too")])

    assert seen(spoofed, header) == [value]
    assert value not in str(spoofed.headers)


def test_secrets_show_nowhere(rotating: Rotating):
    gateway = rotating.gateway
    key = (rotating.folder / "pk").read_text().splitlines()[1]
    with gateway.client() as client:
        client.get("/keyed/x")
    rendered = subprocess.run(
        [sys.executable, "-m", "tollgate_cli", "render", str(gateway.file)], capture_output=True, text=True, check=True
    ).stdout
    logs = [path.read_text() for path in (gateway.folder / "state" / "logs").glob("*.log")]

    assert "tollgate:upstream:keyed:credential" in rendered
    for text in (rotating.dump(), rendered, str(gateway.status()), *logs):
        assert "PRIVATE KEY" not in text
        for secret in (key, FIRST, SECOND, "dXNlcjpwYXNz"):
            assert secret not in text


def test_a_new_credential_is_used_without_a_restart(rotating: Rotating):
    rotating.write("key", SECOND)
    with rotating.gateway.client() as client:
        until(lambda: seen(client.get("/keyed/x"), "x-api-key") == [SECOND])


def test_a_new_authority_is_trusted_without_a_restart(rotating: Rotating):
    with rotating.gateway.client() as client:
        before = client.get("/moved/x")
        rotating.write("ca", rotating.new.pem)
        until(lambda: client.get("/moved/x").status_code == 200)

    assert before.status_code == 502


def test_a_new_certificate_is_shown_without_a_restart(rotating: Rotating):
    """Its two files change one after the other: the state between is refused, and nothing breaks."""
    certificate, key = rotating.new.issue("gateway")
    with rotating.gateway.client() as client:
        before = client.get("/mutual/x")
        rotating.write("crt", certificate)
        until(lambda: any("does not belong" in error for error in rotating.gateway.status()["configuration"]["errors"]))
        rotating.write("pk", key)
        until(lambda: client.get("/mutual/x").status_code == 200)

    assert before.status_code == 502
