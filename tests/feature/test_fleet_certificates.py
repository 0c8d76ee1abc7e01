"""The commands of docs/fleets.md make certificates with which a fleet works, and that do not let anybody be another."""

import re
import subprocess
from pathlib import Path

import grpc
import pytest
import structlog
from prometheus_client import CollectorRegistry

from control_plane.server.types import ENVOYS, SERVICES
from control_plane.snapshot import snapshot
from control_plane.xds.names import CLUSTER_TYPE
from service_kit.contract import AUTHZ_POLICY_TYPE
from service_kit.credentials import certificates
from service_kit.endpoint import TcpEndpoint
from service_kit.settings import TlsFiles
from tests.support.certificates import client_credentials
from tests.support.eventually import eventually
from tests.support.fake_envoy import fake_envoy, names
from tests.support.fleet import fleet_envoy
from tests.support.live_envoy import backend, is_saying
from tests.support.xds import cluster, control_plane, endpoints, listener, routes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fleets.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's commands were run; the hosts are this machine."""
    made = tmp_path_factory.mktemp("pki")
    (commands,) = re.findall(r"```sh\n(openssl.*?)```", PAGE.read_text(), re.DOTALL)
    script = re.sub(r"DNS:[\w-]+\.internal", "DNS:localhost", commands)
    subprocess.run(["/bin/sh", "-e", "-c", script], cwd=made, check=True, capture_output=True)
    return made


def files(folder: Path, name: str) -> TlsFiles:
    return TlsFiles(folder / f"{name}.crt", folder / f"{name}.key", folder / "ca.crt")


async def test_a_real_envoy_joins_with_them(folder: Path) -> None:
    at = TcpEndpoint("localhost", 0)
    async with backend("one") as one, control_plane(at, tls=files(folder, "control-plane")) as xds:
        resources = (listener("front", "r"), cluster("a"), endpoints("a", one), routes("r", a="a"))
        xds.ads.set_snapshot(ENVOYS.cluster, snapshot(resources))
        async with fleet_envoy(files(folder, "edge"), xds.server.port, group="edge") as envoy:
            await eventually(is_saying(envoy, "/a", "one"), within=15)


@pytest.mark.parametrize(
    ("name", "stated", "group", "type_url", "code"),
    [
        pytest.param("edge", ENVOYS.cluster, "edge", CLUSTER_TYPE, None, id="envoy"),
        pytest.param("authz", SERVICES.cluster, "", AUTHZ_POLICY_TYPE, None, id="authorizer"),
        pytest.param("ratelimit", SERVICES.cluster, "", AUTHZ_POLICY_TYPE, None, id="limiter"),
        pytest.param("edge", SERVICES.cluster, "", AUTHZ_POLICY_TYPE, "PERMISSION_DENIED", id="envoy-as-service"),
        pytest.param("edge", ENVOYS.cluster, "", CLUSTER_TYPE, "PERMISSION_DENIED", id="envoy-without-its-group"),
        pytest.param("operator", ENVOYS.cluster, "", CLUSTER_TYPE, "PERMISSION_DENIED", id="admin-as-envoy"),
    ],
)
async def test_they_let_each_be_what_it_is(
    folder: Path, name: str, stated: str, group: str, type_url: str, code: str | None
) -> None:
    async with control_plane(TcpEndpoint("localhost", 0), tls=files(folder, "control-plane")) as xds:
        for group_of_consumers in (ENVOYS, SERVICES):
            xds.ads.set_snapshot(group_of_consumers.cluster, snapshot(()))
        at = TcpEndpoint("localhost", xds.server.port)
        credentials = client_credentials(files(folder, name))
        async with fake_envoy(at, cluster=stated, group=group, credentials=credentials) as client:
            await client.subscribe(type_url)
            if code is None:
                assert names(await client.take()) == []
            else:
                assert (await client.status())[0] == grpc.StatusCode[code]


@pytest.mark.parametrize("name", ["control-plane", "authz", "ratelimit", "edge", "operator"])
def test_they_can_be_used(folder: Path, name: str) -> None:
    found = certificates(files(folder, name), structlog.get_logger(), CollectorRegistry())

    assert found.current().certificate == (folder / f"{name}.crt").read_bytes()
