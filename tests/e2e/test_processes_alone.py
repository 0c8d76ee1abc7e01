"""Each process by itself, as in a container of its own: on TCP, with mutual TLS between all of them."""

import operator
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import httpx
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.endpoint import UnixEndpoint
from tests.support.certificates import certificates
from tests.support.envoy import envoy_binary
from tests.support.eventually import until
from tests.support.gateway import with_addresses
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.valkey import valkey_server
from tollgate_cli.supervisor.asking import NoAnswer, admin_answer

TOKEN = "a-bearer-token-for-tests"
# Clusters of Envoy that are reached with a certificate of ours.
FOLLOWING = ("tollgate:authz", "tollgate:control-plane", "tollgate:ratelimit")
PYTHON_PROCESSES = ("control_plane", "authz_service", "ratelimit_service")


@contextmanager
def process(log: Path, environ: Mapping[str, str], *command: object) -> Iterator[None]:
    with log.open("wb") as output:
        running = subprocess.Popen(list(map(str, command)), env=environ, stdout=output, stderr=output)
        try:
            yield
        finally:
            running.terminate()
            running.wait(20)


@pytest.fixture
def line(upstream: Upstream, tmp_path: Path) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """The address of a listener, the folder of the logs, and the addresses by name."""
    files = certificates(tmp_path)
    at = {name: f"localhost:{free_port()}" for name in ("xds", "authz", "ratelimit", "probe")}
    port, config = free_port(), tmp_path / "gateway.yaml"
    route = {"name": "private", "match": {"path": "/private"}, "upstream": "echo", "auth": ["bearer"],
             "limits": [{"requests": "2/hour"}]}  # fmt: skip
    tokens = [{"name": "ops", "token": TOKEN}]
    written = {
        "identity": {"bearer_tokens": tokens}, "upstreams": {"echo": {"url": upstream.url}}, "routes": [route],
    }  # fmt: skip
    config.write_text(yaml.safe_dump(with_addresses(written, port, free_port())))
    environ = {
        **os.environ,
        "TOLLGATE_ENVOY": str(envoy_binary()),
        "TOLLGATE_CONTROL_PLANE": at["xds"],
        "TOLLGATE_TLS_CERTIFICATE": str(files.certificate),
        "TOLLGATE_TLS_PRIVATE_KEY": str(files.private_key),
        "TOLLGATE_TLS_AUTHORITY": str(files.authority),
    }
    with ExitStack() as stack:
        store = stack.enter_context(valkey_server(tmp_path))
        flags = {
            "control_plane": [config, "--xds", at["xds"], "--authz", at["authz"], "--ratelimit", at["ratelimit"],
                              "--access-log", tmp_path / "access.log"],
            "authz_service": ["--listen", at["authz"], "--probe", at["probe"]],
            "ratelimit_service": ["--listen", at["ratelimit"], "--store", store.address],
        }  # fmt: skip
        for name in PYTHON_PROCESSES:
            state = ["--state-dir", tmp_path / name]
            stack.enter_context(
                process(tmp_path / f"{name}.log", environ, sys.executable, "-m", name, *flags[name], *state)
            )
        run = [sys.executable, "-m", "tollgate_cli", "run", "--only", "envoy", "--state-dir", tmp_path / "envoy"]
        stack.enter_context(process(tmp_path / "envoy.log", environ, *run))
        yield f"http://127.0.0.1:{port}", tmp_path, at


def test_the_whole_line_over_mutual_tls(line: tuple[str, Path, dict[str, str]]):
    url, folder, at = line

    def answer() -> httpx.Response | None:
        try:
            return httpx.get(f"{url}/readyz", trust_env=False, verify=False)
        except httpx.ConnectError:
            return None

    until(lambda: (ready := answer()) is not None and ready.status_code == 200, seconds=40)
    headers = {"authorization": f"Bearer {TOKEN}"}
    statuses = [
        httpx.get(f"{url}/private", headers=headers, trust_env=False, verify=False).status_code for _ in range(3)
    ]
    refused = httpx.get(f"{url}/private", trust_env=False, verify=False)

    assert statuses == [200, 200, 429]
    assert refused.status_code == 401
    assert not any(TOKEN in log.read_text() for log in folder.glob("*.log"))
    assert health(at["probe"]) == health_pb2.HealthCheckResponse.SERVING  # in plaintext, as a kubelet asks
    with pytest.raises(grpc.RpcError):
        health(at["authz"])  # the service itself wants a certificate


def test_envoy_follows_the_certificates_with_which_it_reaches_the_services(
    line: tuple[str, Path, dict[str, str]],
) -> None:
    _url, folder, _at = line
    admin = UnixEndpoint(folder / "envoy" / "run" / "envoy.sock")

    def updates() -> tuple[int, ...]:
        try:
            lines = admin_answer(admin, "GET", "/stats?filter=ssl_context_update_by_sds").splitlines()
        except NoAnswer:
            return ()
        return tuple(int(line.rpartition(" ")[2]) for line in sorted(lines))

    before = until(lambda: len(found := updates()) == len(FOLLOWING) and all(found) and found, seconds=40)
    certificates(folder)

    until(lambda: len(found := updates()) == len(before) and all(map(operator.gt, found, before)))


def health(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        pytest.param(["--authz", "localhost:1", "--xds", "unix:/tmp/x"], "--authz localhost:1", id="authorizer"),
        pytest.param(["--authz", "unix:/tmp/a", "--xds", "localhost:1"], "the xDS server on localhost:1", id="xds"),
    ],
)
def test_nothing_secret_is_sent_in_the_clear(tmp_path: Path, flags, complaint):
    config = tmp_path / "gateway.yaml"
    config.write_text(f"version: 1\nlisteners: {{a: {{address: '127.0.0.1:{free_port()}'}}}}\n")
    command = [sys.executable, "-m", "control_plane", config, *flags, "--ratelimit", "unix:/tmp/r"]
    state = ["--state-dir", tmp_path / "state"]

    done = subprocess.run([*command, *state], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert "--tls-certificate" in done.stderr
