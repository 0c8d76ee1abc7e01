"""Certificates and listeners that change while the gateway runs."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from tests.e2e.listeners.conftest import pair, routes
from tests.support.certificates import Authority
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.http3 import get
from tests.support.ports import free_port
from tests.support.upstream import Upstream, running_upstream

REQUEST = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"


@dataclass
class Changing:
    gateway: Gateway
    base: dict[str, Any]
    port: int
    authority: Authority = field(default_factory=Authority)

    @property
    def listener(self) -> dict[str, Any]:
        return {"address": f"127.0.0.1:{self.port}", "tls": pair(self.authority)}

    def write(self, **listeners: Any) -> None:
        """`public` stays; these are the others."""
        public = {"address": f"127.0.0.1:{self.gateway.port}"}
        self.gateway.write({**self.base, "listeners": {"public": public, **listeners}})

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cadata=self.authority.pem)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(raw, server_hostname="localhost")

    def shown(self) -> int | None:
        """The serial number of the certificate that a new connection sees."""
        try:
            with self.connect() as sock:
                return serial(sock)
        except OSError:
            return None

    def errors(self) -> str:
        return "\n".join(self.gateway.status()["configuration"]["errors"])

    def listener_changes(self) -> int:
        """How many listeners Envoy has opened or replaced so far."""
        metrics = httpx.get(f"{self.gateway.admin_url}/metrics", trust_env=False).text.splitlines()
        counters = ("envoy_listener_manager_listener_added", "envoy_listener_manager_listener_modified")
        found = [float(line.rsplit(" ", 1)[1]) for line in metrics if line.startswith(counters)]
        assert len(found) == len(counters)
        return int(sum(found))


def serial(sock: ssl.SSLSocket) -> int:
    return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"").serial_number


def serial_of(listener: dict[str, Any]) -> int:
    return x509.load_pem_x509_certificate(listener["tls"]["certificate"].encode()).serial_number


def answered(sock: ssl.SSLSocket) -> bytes:
    sock.sendall(REQUEST)
    return sock.recv(4096)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture(scope="module")
def running(upstream: Upstream) -> Iterator[Changing]:
    base = routes(upstream)
    with running_gateway(base) as gateway:
        yield Changing(gateway, base, free_port())


@pytest.fixture
def changing(running: Changing) -> Iterator[Changing]:
    """With one listener in clear text, each test from there."""
    running.port = free_port()
    yield running
    running.write()
    until(lambda: running.shown() is None and not running.errors())


def test_new_connections_get_the_new_certificate_and_old_ones_live_on(changing: Changing):
    first, second = changing.listener, changing.listener
    changing.write(tls=first)
    until(lambda: changing.shown() == serial_of(first))
    changes = changing.listener_changes()

    with changing.connect() as held:
        assert answered(held).startswith(b"HTTP/1.1 200")
        changing.write(tls=second)
        until(lambda: changing.shown() == serial_of(second))
        answer = answered(held)

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" not in answer.lower()  # the listener does not drain
    assert changing.listener_changes() == changes


def test_files_are_followed(changing: Changing, tmp_path: Path):
    def put(content: dict[str, str]) -> None:
        for name, text in content.items():
            (tmp_path / f"{name}.new").write_text(text)
            (tmp_path / f"{name}.new").rename(tmp_path / name)

    first, second = changing.listener, changing.listener
    put(first["tls"])
    files = {name: f"file:{tmp_path / name}" for name in first["tls"]}
    changing.write(tls={**first, "tls": files})
    until(lambda: changing.shown() == serial_of(first))
    put(second["tls"])

    until(lambda: changing.shown() == serial_of(second))
    assert not changing.errors()


def test_a_key_of_another_certificate_changes_nothing(changing: Changing):
    right, other = changing.listener, changing.listener
    changing.write(tls=right)
    until(lambda: changing.shown() == serial_of(right))

    changing.write(tls={**right, "tls": {**right["tls"], "private_key": other["tls"]["private_key"]}})
    error = until(changing.errors)

    assert "listeners.tls.tls" in error
    assert "PRIVATE KEY" not in error
    assert changing.shown() == serial_of(right)


def test_authorities_of_clients_are_replaced(changing: Changing, tmp_path: Path):
    def status(authority: Authority) -> int | None:
        certificate, key = authority.issue("client")
        files = tmp_path / "client.crt", tmp_path / "client.key"
        for file, text in zip(files, (certificate, key), strict=True):
            file.write_text(text)
        context = ssl.create_default_context(cadata=changing.authority.pem)
        context.load_cert_chain(*files)
        try:
            with httpx.Client(verify=context, trust_env=False) as client:
                return client.get(f"https://localhost:{changing.port}/health").status_code
        except httpx.TransportError:
            return None

    old, new = Authority(), Authority()
    own = pair(changing.authority)
    for trusted, foreign in ((old, new), (new, old)):
        tls = {**own, "client_ca": trusted.pem}
        changing.write(tls={"address": f"127.0.0.1:{changing.port}", "tls": tls})
        until(lambda authority=trusted: status(authority) == 200)
        assert status(foreign) is None


async def test_listeners_come_change_and_go(changing: Changing):
    listener = changing.listener
    changing.write(tls=listener)
    until(lambda: changing.shown() is not None)

    changing.write(tls={**listener, "http3": True, "compression": ["gzip"], "max_connections": 100})
    context = ssl.create_default_context(cadata=changing.authority.pem)
    with httpx.Client(verify=context, trust_env=False) as client:
        until(lambda: "alt-svc" in client.get(f"https://localhost:{changing.port}/public/x").headers)
    over_quic = await get(changing.port, "/public/x", authority=changing.authority.pem)

    changing.write()
    until(lambda: changing.shown() is None)
    assert over_quic.status == 200
    with changing.gateway.client() as client:
        assert client.get("/public/x").status_code == 200


def test_a_port_in_use_is_shown_and_costs_nothing_else(changing: Changing):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", changing.port))
        taken.listen()
        changing.write(tls=changing.listener)
        until(lambda: "Address already in use" in str(changing.gateway.status()["nodes"]))
        with changing.gateway.client() as client:
            assert client.get("/public/x").status_code == 200
    changing.write()
    until(lambda: all(node["converged"] for node in changing.gateway.status()["nodes"]))


def test_operators_see_when_a_certificate_expires(changing: Changing):
    listener = changing.listener
    changing.write(tls=listener)
    until(lambda: changing.shown() is not None)

    expires = x509.load_pem_x509_certificate(listener["tls"]["certificate"].encode()).not_valid_after_utc
    metrics = httpx.get(f"{changing.gateway.admin_url}/metrics", trust_env=False).text
    values = [line.rsplit(" ", 1) for line in metrics.splitlines() if "tollgate_certificate_expiry_seconds{" in line]
    assert [float(value) for series, value in values if 'listener="tls"' in series] == [expires.timestamp()]


def test_the_key_is_shown_nowhere(changing: Changing):
    listener = changing.listener
    changing.write(tls=listener)
    until(lambda: changing.shown() is not None)
    key = listener["tls"]["private_key"].splitlines()[1]

    transport = httpx.HTTPTransport(uds=str(changing.gateway.folder / "state" / "run" / "envoy.sock"))
    with httpx.Client(transport=transport, base_url="http://envoy", trust_env=False) as client:
        dump = client.get("/config_dump?include_eds").text
    logs = [file.read_text() for file in (changing.gateway.folder / "state" / "logs").iterdir()]
    for text in (dump, str(changing.gateway.status()), *logs):
        assert key not in text
        assert "PRIVATE KEY" not in text
