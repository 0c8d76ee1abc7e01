"""The access log is a record: while it is rotated under traffic, every answered request stands in it exactly once, and
exactly once in the ledger, which reads it meanwhile.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.envoy import envoy_binary
from tests.support.eventually import until
from tests.support.gateway import READY_SECONDS, STOP_SECONDS, Gateway, with_addresses
from tests.support.ports import free_port
from tests.support.upstream import Upstream

SIZE = 20_000
ROTATIONS = 12
CLIENTS = 4
BATCH = 25
# `tollgate run` with logs that are rotated every few requests, and none dropped.
RUN = f"""
import sys
from pathlib import Path
from service_kit.settings import environment
from tollgate_cli.run import run_all
from tollgate_cli.supervisor.rotation import Rotation

rotation = Rotation(size={SIZE}, kept=1000, every=0.05)
run_all(Path(sys.argv[1]), Path(sys.argv[2]), environment(), verbose=False, rotation=rotation)
"""
ROUTES = [
    {"name": "public", "match": {"path": "/public/*"}, "upstream": "echo", "auth": "none"},
    {"name": "private", "match": {"path": "/private/*"}, "upstream": "echo", "auth": ["bearer"]},
]
IDENTITY = {"bearer_tokens": [{"name": "ops", "token": "a-bearer-token-for-tests"}]}


@pytest.fixture
def rotating(upstream: Upstream) -> Iterator[Gateway]:
    folder = Path(tempfile.mkdtemp(prefix="tollgate-"))  # short: socket paths have a limit
    port, admin_port = free_port(), free_port()
    config = {"upstreams": {"echo": {"url": upstream.url}}, "identity": IDENTITY, "routes": ROUTES}
    (folder / "gateway.yaml").write_text(yaml.safe_dump(with_addresses(config, port, admin_port)))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, folder / "gateway.yaml", folder / "state"],
            stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "TOLLGATE_ENVOY": str(envoy_binary())},
        )  # fmt: skip
    try:
        until(lambda: ready(process, folder / "output"), seconds=READY_SECONDS)
        yield Gateway(folder, process, port, admin_port)
    finally:
        stop(process)
        shutil.rmtree(folder)


def ready(process: subprocess.Popen[bytes], output: Path) -> bool:
    assert process.poll() is None, output.read_text()
    return "ready\n" in output.read_text()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    finally:
        process.kill()
        process.wait()


def files(gateway: Gateway, name: str) -> list[Path]:
    """The renamed files of a log."""
    return list((gateway.folder / "state" / "logs").glob(f"{name}.log.*"))


def answered(gateway: Gateway) -> list[str]:
    """The request ids of some answers, allowed and denied."""
    with gateway.client() as client:
        paths = ("/public/x", "/private/x") * BATCH
        return [client.get(path).headers["x-request-id"] for path in paths]


def rows(gateway: Gateway) -> list[str]:
    logs = [*files(gateway, "access"), gateway.folder / "state" / "logs" / "access.log"]
    return [json.loads(line)["request_id"] for log in logs for line in log.read_text().splitlines()]


def in_the_ledger(gateway: Gateway) -> list[str]:
    with sqlite3.connect(gateway.folder / "state" / "ledger.sqlite") as db:
        return [request_id for (request_id,) in db.execute("SELECT request_id FROM tollgate_ledger_rows")]


def answered_until_rotated(gateway: Gateway) -> list[str]:
    wanted: list[str] = []
    before = len(files(gateway, "access"))
    with ThreadPoolExecutor(CLIENTS) as clients:

        def enough() -> bool:
            for batch in [clients.submit(answered, gateway) for _ in range(CLIENTS)]:
                wanted.extend(batch.result())
            return len(files(gateway, "access")) >= before + ROTATIONS

        until(enough, seconds=60)
    return wanted


def test_every_answered_request_is_in_the_access_log_once(rotating: Gateway):
    wanted = answered_until_rotated(rotating)
    stop(rotating.process)

    assert sorted(rows(rotating)) == sorted(in_the_ledger(rotating)) == sorted(wanted)
    assert all(log.stat().st_size > SIZE for log in files(rotating, "access"))
    assert files(rotating, "authz"), "denials are log lines: that log must have been rotated too"
    assert "cannot rotate" not in (rotating.folder / "output").read_text()


def test_an_envoy_that_is_killed_meanwhile_goes_on_in_a_file_of_that_name(rotating: Gateway):
    answered_until_rotated(rotating)
    rotating.kill("envoy")
    until(lambda: answers(rotating))

    wanted = answered_until_rotated(rotating)
    stop(rotating.process)

    for written in (rows(rotating), in_the_ledger(rotating)):
        assert {request: written.count(request) for request in wanted} == dict.fromkeys(wanted, 1)


def answers(gateway: Gateway) -> bool:
    try:
        with gateway.client() as client:
            return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
