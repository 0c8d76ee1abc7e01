"""The real Envoy on a control plane of the test: what it answers, what it says of itself, backends to answer for it."""

import asyncio
import json
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from control_plane.publication.outcome import Outcome
from control_plane.publication.publisher import Publisher
from control_plane.server.ads import Ads
from control_plane.snapshot import EMPTY, Release, Resource, snapshot
from service_kit.endpoint import Endpoint, UnixEndpoint
from tests.support.envoy import envoy_binary
from tests.support.eventually import eventually
from tests.support.modes import Mode
from tests.support.xds import ControlPlane, control_plane, publisher

# Envoy gives up waiting for a resource after 15 seconds; whoever needs as long has waited for nothing.
SOON = 8.0
STARTED = 15.0


class Envoy:
    """A running Envoy: its admin socket, and requests to its listeners."""

    def __init__(self, admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
        self._admin = admin
        self._client = client

    async def has_started(self) -> bool:
        """Whether it can be asked; it may have nothing to serve yet."""
        try:
            return (await self._admin.get("/server_info")).is_success
        except httpx.TransportError:
            return False

    async def ports(self) -> Mapping[str, int]:
        """The ports of the listeners by name."""
        answer = await self._admin.get("/listeners?format=json")
        found = answer.json().get("listener_statuses", [])
        return {item["name"]: int(item["local_address"]["socket_address"]["port_value"]) for item in found}

    async def port(self) -> int:
        """The port of the first listener, 0 while there is none."""
        return next(iter((await self.ports()).values()), 0)

    async def says(self, path: str) -> str:
        """The body of the answer, or its status where it is an error."""
        try:
            answer = await self._client.get(f"http://127.0.0.1:{await self.port()}{path}")
        except httpx.TransportError as error:
            return repr(error)
        return answer.text if answer.is_success else str(answer.status_code)

    async def clusters(self) -> str:
        return (await self._admin.get("/clusters")).text

    async def stats(self, *names: str) -> tuple[int, ...]:
        """These counters and gauges, 0 where one was never touched."""
        answer = await self._admin.get("/stats", params={"filter": "|".join(f"^{name}$" for name in names)})
        values = dict(line.split(": ", 1) for line in answer.text.splitlines())
        return tuple(int(values.get(name, "0")) for name in names)

    async def warming(self) -> int:
        """How many clusters and listeners wait for something."""
        return sum(await self.stats("cluster_manager.warming_clusters", "listener_manager.total_listeners_warming"))

    async def dump(self) -> Mapping[str, Mapping[str, Any]]:
        """The sections of `/config_dump` by the name of their message."""
        answer = await self._admin.get("/config_dump?include_eds")
        return {section["@type"].rpartition(".")[2]: section for section in answer.json()["configs"]}


@asynccontextmanager
async def running_envoy(at: Endpoint, mode: Mode, *, drain: int = 600) -> AsyncIterator[Envoy]:
    """An Envoy that follows the control plane at this address; what it logs is printed when it ends."""
    assert isinstance(at, UnixEndpoint)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envoy")))
        config = folder / "bootstrap.json"
        config.write_text(json.dumps(mode.bootstrap(at, str(folder / "admin.sock"))))
        log = stack.enter_context((folder / "envoy.log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            str(envoy_binary()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning",
            "--drain-strategy", "immediate", "--drain-time-s", str(drain), stdout=log, stderr=log,
        )  # fmt: skip
        try:
            transport = httpx.AsyncHTTPTransport(uds=str(folder / "admin.sock"))
            admin = httpx.AsyncClient(transport=transport, base_url="http://envoy")
            client = httpx.AsyncClient(trust_env=False)
            found = Envoy(await stack.enter_async_context(admin), await stack.enter_async_context(client))
            await eventually(found.has_started, within=STARTED)
            yield found
        finally:
            process.terminate()
            await process.wait()
            print((folder / "envoy.log").read_text())


class Line:
    """An Envoy on a control plane, either of which may end and come back on the address that it had."""

    envoy: Envoy
    _xds: ControlPlane
    _releases: Publisher

    def __init__(self, mode: Mode, at: UnixEndpoint, linger: float) -> None:
        self.mode = mode
        self._linger = linger
        self._at = at
        self._outcomes: deque[Outcome] = deque(maxlen=1)
        self._control_plane = AsyncExitStack()
        self._envoy = AsyncExitStack()

    @property
    def ads(self) -> Ads:
        return self._xds.ads

    async def publish(self, *resources: Resource) -> Outcome:
        """What came of these resources, once Envoy was offered them in the order that the publisher keeps."""
        self.offer(*resources)
        await self._releases.published()
        return self._outcomes[-1]

    def offer(self, *resources: Resource) -> None:
        """The same without waiting."""
        self._releases.publish(Release(snapshot(resources), EMPTY))

    async def start_control_plane(self) -> None:
        self._xds = await self._control_plane.enter_async_context(control_plane(self._at))
        started = publisher(self.ads, linger=self._linger, judged=self._outcomes.append)
        self._releases = await self._control_plane.enter_async_context(started)

    async def stop_control_plane(self) -> None:
        await self._control_plane.aclose()

    async def start_envoy(self, *, drain: int = 600) -> None:
        self.envoy = await self._envoy.enter_async_context(running_envoy(self._at, self.mode, drain=drain))

    async def stop_envoy(self) -> None:
        await self._envoy.aclose()


@asynccontextmanager
async def line(mode: Mode, *, linger: float = 0.0, drain: int = 600) -> AsyncIterator[Line]:
    """An Envoy that follows a control plane in this way, with this linger; nothing is published yet."""
    with tempfile.TemporaryDirectory(prefix="xds") as folder:
        found = Line(mode, UnixEndpoint(Path(folder) / "x.sock"), linger)
        await found.start_control_plane()
        await found.start_envoy(drain=drain)
        try:
            yield found
        finally:
            await found.stop_envoy()
            await found.stop_control_plane()


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[int]:
    """A server that answers every request with its name; its port."""
    body = name.encode()
    response = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    open_connections: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(response)
        except (asyncio.IncompleteReadError, ConnectionError):
            open_connections.discard(writer)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in tuple(open_connections):
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


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
        for path in paths:
            answers[path].add(await envoy.says(path))

    async def keep_asking() -> None:
        while not over.is_set():
            await ask()

    await ask()
    task = asyncio.create_task(keep_asking())
    try:
        yield answers
    finally:
        over.set()
        await task
