"""Control planes on TCP with mutual TLS, and the real Envoy on them by the bootstrap that it gets in a fleet."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from service_kit.settings import TlsFiles
from tests.support.certificates import Authority, issued
from tests.support.envoy import envoy_binary
from tests.support.live_envoy import Envoy
from tests.support.xds import ControlPlane, control_plane
from tollgate_cli.supervisor.envoy import bootstrap

HEAP = 1 << 30


@dataclass(frozen=True)
class Fleet:
    """An authority, and a folder of its own for each process's files."""

    folder: Path
    authority: Authority

    def files(self, *names: str, process: str | None = None) -> TlsFiles:
        """Files with a pair for localhost and these names; those of the process are replaced where it has some."""
        return issued(
            self.authority, self.folder / (process or "-".join(names).replace("/", "_").replace("\0", "_")), *names
        )

    def of(self, role: str, *, process: str | None = None) -> TlsFiles:
        """A pair of this role, as `envoy/edge`."""
        return self.files(f"spiffe://test/tollgate/{role}", process=process)

    def of_another_authority(self) -> "Fleet":
        """The same processes when everything has been issued anew."""
        return Fleet(self.folder, Authority("another authority"))


@asynccontextmanager
async def replica(fleet: Fleet, *, age: float | None = None, port: int = 0) -> AsyncIterator[tuple[ControlPlane, int]]:
    """A control plane with a certificate of its own, and its port."""
    files = fleet.of("control-plane", process="control-plane")
    async with control_plane(TcpEndpoint("localhost", port), tls=files, connection_age=age) as xds:
        yield xds, xds.server.port


@asynccontextmanager
async def fleet_envoy(
    files: TlsFiles, *ports: int, group: str = "", api_type: str = "DELTA_GRPC"
) -> AsyncIterator[Envoy]:
    """An Envoy that may take its configuration from any of the control planes on these ports."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoy")))
        config, admin = folder / "bootstrap.yaml", UnixEndpoint(folder / "admin.sock")
        text = bootstrap(
            control_plane=TcpEndpoint("localhost", ports[0]), tls=files, admin=admin, node="envoy-under-test",
            group=group, memory=HEAP,
        )  # fmt: skip
        config.write_text(yaml.safe_dump(_with_more(yaml.safe_load(text), ports[1:], api_type)))
        log = stack.enter_context((folder / "envoy.log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            str(envoy_binary()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning",
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            transport = httpx.AsyncHTTPTransport(uds=str(admin.path))
            asked = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://envoy"))
            yield Envoy(asked, await stack.enter_async_context(httpx.AsyncClient(trust_env=False)))
        finally:
            process.terminate()
            await process.wait()
            print((folder / "envoy.log").read_text())


def _with_more(written: Any, ports: tuple[int, ...], api_type: str) -> Any:
    """The bootstrap with further addresses of the control plane, as a name that has several would give them."""
    written["dynamic_resources"]["ads_config"]["api_type"] = api_type
    endpoints = written["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    for port in ports:
        address = {"socket_address": {"address": "localhost", "port_value": port}}
        endpoints.append({"endpoint": {"address": address}})
    return written
