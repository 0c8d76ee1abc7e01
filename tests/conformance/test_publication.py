"""Statements 60 and 62: what is published at all, and how often."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.consistency import InconsistentSnapshot, checked
from control_plane.server.types import ENVOYS
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from service_kit.endpoint import UnixEndpoint
from tests.conformance.client import Client, connected
from tests.conformance.modes import Mode, in_every_mode, of_types
from tests.conformance.server import Server
from tests.support.certificates import Authority
from tests.support.compiled import config, route, snapshots, without, written
from tests.support.eventually import until
from tests.support.ports import free_port

BURST = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Snapshot]:
    """What a configuration makes that needs resources of each type."""
    folder = tmp_path_factory.mktemp("certificate")
    for name, pem in zip(("leaf.crt", "leaf.key"), Authority().issue("localhost"), strict=True):
        (folder / name).write_text(pem)
    tls = {"certificate": f"file:{folder}/leaf.crt", "private_key": f"file:{folder}/leaf.key"}
    return snapshots(config(listeners={"public": {"address": "127.0.0.1:8443", "tls": tls}}, routes=[route()]))


@of_types(names.CLUSTER_TYPE, names.ENDPOINTS_TYPE, names.ROUTES_TYPE, names.SECRET_TYPE)
@in_every_mode
async def test_60_a_snapshot_with_a_hole_is_not_published(
    server: Server, client: Client, type_url: str, whole: tuple[Snapshot, Snapshot]
) -> None:
    envoy, policies = whole
    hole = next(name for name in envoy.of(type_url) if type_url != names.CLUSTER_TYPE or name == "email")
    server.xds.ads.set_snapshot(ENVOYS.cluster, checked(envoy, policies))
    endpoints = tuple(envoy.of(names.ENDPOINTS_TYPE))
    for asked, its_names in ((names.CLUSTER_TYPE, ()), (names.ENDPOINTS_TYPE, endpoints), (type_url, (hole,))):
        await client.ask(asked, *its_names)
        await client.rest()
    with pytest.raises(InconsistentSnapshot):
        server.xds.ads.set_snapshot(ENVOYS.cluster, checked(without(envoy, type_url, hole), policies))

    await client.silent()
    assert server.status(type_url).acked == envoy.version(type_url)


@dataclass(frozen=True)
class FollowedFile:
    """A configuration that a control plane of its own process follows, and where that process is."""

    folder: Path
    admin_port: int

    @property
    def endpoint(self) -> UnixEndpoint:
        return UnixEndpoint(self.folder / "x.sock")

    def write(self, path: str) -> Path:
        """The file with one route at this path, replaced in one step."""
        admin = {"address": f"127.0.0.1:{self.admin_port}"}
        fresh = self.folder / "fresh"
        fresh.mkdir(exist_ok=True)
        return written(fresh, config(admin=admin, routes=[route(path=path)])).rename(self.folder / "gateway.yaml")


@contextmanager
def _following() -> Iterator[FollowedFile]:
    with tempfile.TemporaryDirectory(prefix="follow") as folder:
        file = FollowedFile(Path(folder), free_port())
        command = [sys.executable, "-m", "control_plane", str(file.write("/first")), "--xds", str(file.endpoint)]
        command += ["--state-dir", f"{folder}/state", "--authz", f"unix:{folder}/a", "--ratelimit", f"unix:{folder}/r"]
        with (Path(folder) / "output").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ})
        try:
            until(lambda: file.endpoint.path.exists() or process.poll() is not None)
            assert process.poll() is None, (Path(folder) / "output").read_text()
            yield file
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def followed_file() -> Iterator[FollowedFile]:
    with _following() as file:
        yield file


@in_every_mode
async def test_62_a_burst_of_changes_is_few_pushes_and_the_last_state_arrives(
    followed_file: FollowedFile, mode: Mode
) -> None:
    async with connected(followed_file.endpoint, mode, node=f"envoy-{mode}") as client:
        await client.ask(names.ROUTES_TYPE, names.ROUTES)
        await client.take()
        for number in range(BURST):
            followed_file.write(f"/{mode}-{number}")
        heard = [await client.take(names.ROUTES_TYPE)]
        while f"/{mode}-{BURST - 1}".encode() not in (heard[-1].bodies[names.ROUTES] or b""):
            heard.append(await client.take(names.ROUTES_TYPE))

    assert len(heard) < BURST // 3
