"""The real Envoy follows the ADS server, in both protocols: what it answers is what was published."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from control_plane.server.ads import Ads
from control_plane.server.types import ENVOYS
from control_plane.snapshot import EMPTY, Resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE
from service_kit.endpoint import Endpoint, UnixEndpoint
from tests.support.envoy import envoy_binary
from tests.support.eventually import eventually
from tests.support.xds import cluster, control_plane, endpoints, listener, publisher, routes


def bootstrap(control_plane_at: UnixEndpoint, api_type: str, admin: Path) -> dict[str, object]:
    """Envoy's own configuration: the control plane's address and nothing else."""
    ads = {
        "api_type": api_type,
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
        "set_node_on_first_message_only": True,
    }
    source = {"ads": {}, "resource_api_version": "V3"}
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(control_plane_at.path)}}}}
    xds = {
        "name": "xds",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    return {
        "node": {"id": "envoy-under-test", "cluster": ENVOYS.cluster},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {"ads_config": ads, "cds_config": source, "lds_config": source},
        "static_resources": {"clusters": [xds]},
    }


class Envoy:
    """A running Envoy: its admin socket, and requests to its listener."""

    def __init__(self, admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
        self._admin = admin
        self._client = client

    async def port(self) -> int:
        """The listener's port, 0 while there is none."""
        try:
            answer = await self._admin.get("/listeners?format=json")
        except httpx.TransportError:
            return 0
        found = answer.json().get("listener_statuses", [])
        return int(found[0]["local_address"]["socket_address"]["port_value"]) if found else 0

    async def says(self, path: str) -> str:
        """The body of the answer, or its status where it is an error."""
        try:
            answer = await self._client.get(f"http://127.0.0.1:{await self.port()}{path}")
        except httpx.TransportError as error:
            return repr(error)
        return answer.text if answer.is_success else str(answer.status_code)

    async def clusters(self) -> str:
        return (await self._admin.get("/clusters")).text


@asynccontextmanager
async def running_envoy(at: Endpoint, api_type: str) -> AsyncIterator[Envoy]:
    assert isinstance(at, UnixEndpoint)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoy")))
        config = folder / "bootstrap.json"
        config.write_text(json.dumps(bootstrap(at, api_type, folder / "admin.sock")))
        log = stack.enter_context((folder / "envoy.log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            str(envoy_binary()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning",
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            transport = httpx.AsyncHTTPTransport(uds=str(folder / "admin.sock"))
            admin = httpx.AsyncClient(transport=transport, base_url="http://envoy")
            client = httpx.AsyncClient(trust_env=False)
            yield Envoy(await stack.enter_async_context(admin), await stack.enter_async_context(client))
        finally:
            process.terminate()
            await process.wait()
            print((folder / "envoy.log").read_text())


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[int]:
    """A server that answers every request with its name; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = name.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def is_saying(envoy: Envoy, path: str, expected: str) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return await envoy.says(path) == expected

    return probe


@asynccontextmanager
async def traffic(envoy: Envoy, *paths: str) -> AsyncIterator[dict[str, set[str]]]:
    """What each path answers while the block runs, asked without a pause."""
    answers: dict[str, set[str]] = {path: set() for path in paths}
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            for path in paths:
                answers[path].add(await envoy.says(path))

    task = asyncio.create_task(ask())
    try:
        yield answers
    finally:
        over.set()
        await task


@asynccontextmanager
async def gateway(api_type: str) -> AsyncIterator[tuple[Envoy, Callable[..., Awaitable[None]], Ads]]:
    """An Envoy on a control plane, and how to publish to it."""
    async with AsyncExitStack() as stack:
        xds = await stack.enter_async_context(control_plane())
        releases = await stack.enter_async_context(publisher(xds.ads))
        envoy = await stack.enter_async_context(running_envoy(xds.endpoint, api_type))

        async def publish(*resources: Resource) -> None:
            releases.publish(snapshot(resources), EMPTY)
            await releases.published()

        yield envoy, publish, xds.ads


FRONT = listener("front", "r")
BOTH = pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"], ids=["delta", "state-of-the-world"])


@BOTH
async def test_the_real_envoy_follows_every_change_without_a_failed_request(api_type: str) -> None:
    async with backend("one") as one, backend("two") as two, gateway(api_type) as (envoy, publish, ads):
        await publish(FRONT, cluster("a"), endpoints("a", one), routes("r", a="a"))
        await eventually(is_saying(envoy, "/a", "one"), within=15)

        async with traffic(envoy, "/a", "/b") as answers:
            await publish(FRONT, cluster("a"), endpoints("a", two), routes("r", a="a"))
            await eventually(is_saying(envoy, "/a", "two"))

            clusters = (cluster("a"), cluster("b"), endpoints("a", two), endpoints("b", one))
            await publish(FRONT, *clusters, routes("r", a="a", b="b"))
            await eventually(is_saying(envoy, "/b", "one"))
            await eventually(lambda: ads.converged(ENVOYS.cluster))

            await publish(FRONT, cluster("a"), endpoints("a", two), routes("r", a="a"))
            await eventually(is_saying(envoy, "/b", "404"))
            await eventually(lambda: ads.converged(ENVOYS.cluster))

        assert answers["/a"] <= {"one", "two"}
        assert answers["/b"] <= {"404", "one"}
        assert "b::" not in await envoy.clusters()


@BOTH
async def test_the_real_envoy_keeps_last_good_and_says_why(api_type: str) -> None:
    async with backend("one") as one, gateway(api_type) as (envoy, publish, ads):
        rest = (FRONT, endpoints("a", one), routes("r", a="a"))
        await publish(*rest, cluster("a"))
        await eventually(is_saying(envoy, "/a", "one"), within=15)

        await publish(*rest, cluster("a", connect_ms=-1))
        assert ads.refused(ENVOYS.cluster)
        (status,) = ads.statuses()
        refusal = status.types[CLUSTER_TYPE].refusal
        assert refusal is not None
        assert "duration" in refusal.message
        assert await envoy.says("/a") == "one"

        await publish(*rest, cluster("a", connect_ms=500))
        await eventually(lambda: ads.converged(ENVOYS.cluster))


@BOTH
async def test_57_a_changed_cluster_warms_at_once_though_its_endpoints_did_not_change(api_type: str) -> None:
    """Envoy would else wait 15 seconds for endpoints that it has."""
    async with backend("one") as one, gateway(api_type) as (envoy, publish, ads):
        rest = (FRONT, endpoints("a", one), routes("r", a="a"))
        await publish(*rest, cluster("a"))
        await eventually(is_saying(envoy, "/a", "one"), within=15)

        await publish(*rest, cluster("a", connect_ms=777))
        await eventually(lambda: ads.converged(ENVOYS.cluster))  # Envoy ACKs a cluster when it is warm
        assert await envoy.says("/a") == "one"


@BOTH
async def test_traffic_goes_on_without_a_control_plane_and_the_next_change_arrives_when_it_is_back(
    api_type: str,
) -> None:
    with tempfile.TemporaryDirectory(prefix="xds") as folder:
        at = UnixEndpoint(Path(folder) / "x.sock")
        async with backend("one") as one, backend("two") as two, AsyncExitStack() as stack:
            first = await stack.enter_async_context(AsyncExitStack())
            xds = await first.enter_async_context(control_plane(at))
            base = (FRONT, cluster("a"), routes("r", a="a"))
            xds.ads.set_snapshot(ENVOYS.cluster, snapshot((*base, endpoints("a", one))))
            envoy = await stack.enter_async_context(running_envoy(at, api_type))
            await eventually(is_saying(envoy, "/a", "one"), within=15)

            async with traffic(envoy, "/a") as answers:
                await first.aclose()
                again = await stack.enter_async_context(control_plane(at))
                again.ads.set_snapshot(ENVOYS.cluster, snapshot((*base, endpoints("a", two))))
                await eventually(is_saying(envoy, "/a", "two"), within=15)

            assert answers["/a"] <= {"one", "two"}
