"""The real Envoy behind a watcher of EndpointSlices: pods come and go, and no request fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_plane.endpoints import Moving, with_endpoints
from control_plane.server.types import ENVOYS
from control_plane.snapshot import snapshot
from tests.support import kubernetes_api as told
from tests.support.endpoints import Watched, upstream, watching
from tests.support.eventually import eventually
from tests.support.kubernetes_api import ApiServer, api_server
from tests.support.live_envoy import SOON, Envoy, Line, backend, is_saying, line, traffic
from tests.support.modes import ADS_MODES, Mode
from tests.support.xds import cluster, endpoints, listener, routes

COMPILED = snapshot((listener("front", "r"), cluster("email"), endpoints("email"), routes("r", email="email")))
BOTH = pytest.mark.parametrize("mode", ADS_MODES, ids=lambda mode: mode.name)


class Gateway:
    """An Envoy on a control plane that puts the endpoints as they are now over what it compiled."""

    watched: Watched

    def __init__(self, running: Line, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self.line = running

    @asynccontextmanager
    async def following(self, *, patience: float = 5.0) -> AsyncIterator[None]:
        """As the control plane does from its start on: the first endpoints, then each change."""
        async with watching(self._kubeconfig, listens=self._publish) as self.watched:
            await self.watched.watcher.prepare([upstream()], seconds=patience)
            self._publish(self.watched.watcher.watch([upstream()]))
            yield

    def _publish(self, moving: Moving) -> None:
        resources = with_endpoints(COMPILED, moving).resources
        self.line.offer(*(item for named in resources.values() for item in named.values()))


@asynccontextmanager
async def gateway(mode: Mode, api: ApiServer, folder: Path) -> AsyncIterator[Gateway]:
    async with line(mode) as running:
        yield Gateway(running, api.kubeconfig(folder))


def ready(name: str, port: int) -> told.Json:
    """A slice with one pod that is ready."""
    return told.endpoint_slice(name, "127.0.0.1", ports=[("http", port)])


@BOTH
async def test_pods_come_and_go_without_a_failed_request(mode: Mode, tmp_path: Path) -> None:
    async with api_server() as api, backend("one") as one, backend("two") as two, gateway(mode, api, tmp_path) as found:
        api.put(ready("a", one))
        envoy = found.line.envoy
        async with found.following():
            await eventually(is_saying(envoy, "/email", "one"), within=SOON)
            async with traffic(envoy, "/email") as answers:
                api.put(ready("b", two))
                await eventually(is_saying(envoy, "/email", "two"), within=SOON)
                api.put(told.endpoint_slice("a", told.pod("127.0.0.1", ready=False), ports=[("http", one)]))
                await eventually(lambda: _is_all(envoy, "two"), within=SOON)
                api.put(ready("a", one))
                api.delete("b")
                await eventually(lambda: _is_all(envoy, "one"), within=SOON)

            assert answers["/email"] == {"one", "two"}
            api.delete("a")
            await eventually(is_saying(envoy, "/email", "503"), within=SOON)


@BOTH
async def test_endpoints_stay_while_nobody_tells_any(mode: Mode, tmp_path: Path) -> None:
    """The API server is away, and the control plane starts anew: Envoy keeps what it has."""
    async with api_server() as api, backend("one") as one, backend("two") as two, gateway(mode, api, tmp_path) as found:
        api.put(ready("a", one))
        envoy = found.line.envoy
        async with found.following():
            await eventually(is_saying(envoy, "/email", "one"), within=SOON)
            async with traffic(envoy, "/email") as answers:
                await api.stop()
                await eventually(lambda: found.watched.is_up() == 0.0)
                await found.line.stop_control_plane()
                await found.line.start_control_plane()
                async with found.following(patience=0.3):
                    await eventually(lambda: found.line.ads.converged(ENVOYS.cluster), within=SOON)
                    assert await envoy.says("/email") == "one"
                    api.put(ready("a", two))
                    await api.start()
                    await eventually(is_saying(envoy, "/email", "two"), within=SOON)

            assert answers["/email"] == {"one", "two"}


async def _is_all(envoy: Envoy, name: str) -> bool:
    return {await envoy.says("/email") for _ in range(6)} == {name}
