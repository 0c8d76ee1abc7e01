"""A whole gateway whose upstream is a Service of Kubernetes: it follows pods, and forgets none while nobody tells."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support import kubernetes_api as told
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, running_gateway
from tests.support.kubernetes_api import ApiServer, api_server
from tests.support.upstream import Upstream, running_upstream

CONFIG = {
    "upstreams": {"app": {"kubernetes": {"service": "email", "port": "http"}}},
    "routes": [{"name": "app", "match": {"path": "/*"}, "upstream": "app", "auth": "none"}],
}


def ready(upstream: Upstream) -> told.Json:
    """The slice of a Service with one pod."""
    return told.endpoint_slice("email-1", "127.0.0.1", ports=[("http", upstream.port)])


def plane(gateway: Gateway) -> int:
    """The process of the control plane; 0 while there is none."""
    try:
        return gateway.pid_of("control_plane")
    except LookupError:
        return 0


def connected(gateway: Gateway) -> bool:
    """Whether the control plane has its Envoy and all three services."""
    try:
        return len(gateway.status()["nodes"]) >= 4
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def gateway(api: ApiServer, folder: Path) -> AsyncIterator[Gateway]:
    running = running_gateway(CONFIG, {"TOLLGATE_KUBECONFIG": str(api.kubeconfig(folder))})
    found = await asyncio.to_thread(running.__enter__)  # the API server goes on meanwhile
    try:
        yield found
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_a_gateway_follows_the_pods_of_a_service(tmp_path: Path) -> None:
    with running_upstream() as one, running_upstream() as two:
        async with api_server() as api:
            api.put(ready(one))
            async with (
                gateway(api, tmp_path) as found,
                httpx.AsyncClient(base_url=found.url, trust_env=False) as client,
            ):

                async def answered_by(upstream: Upstream) -> bool:
                    before = upstream.served
                    assert (await client.get("/x")).status_code == 200
                    return upstream.served > before

                assert await answered_by(one)

                api.put(ready(two))
                await eventually(lambda: answered_by(two))

                await api.stop()
                killed = found.kill("control_plane")
                # Envoy's longest pause between attempts is half a minute.
                await eventually(lambda: plane(found) not in (0, killed) and connected(found), within=90)
                assert await answered_by(two)
