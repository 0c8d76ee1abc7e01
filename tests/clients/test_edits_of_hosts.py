"""Virtual hosts one by one: the real Envoy under load while hosts, routes and upstreams of a configuration come and go.

What it is given is compiled, published in the product's order, and split by the server, as in the product.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from control_plane.compile import Compiler
from control_plane.publication.publisher import LINGER_SECONDS
from control_plane.server.types import ENVOYS
from control_plane.xds.names import ROUTES
from tests.support.compiled import WIRING, config, route, written
from tests.support.eventually import eventually
from tests.support.live_envoy import SOON, Line, backend, line
from tests.support.load import Connection
from tests.support.modes import Mode
from tests.support.ports import free_port

HOSTS = Mode("delta-hosts", "DELTA_GRPC", hosts=True)
BACKENDS = ("one", "two", "three", "four")
DOMAINS = ("a.example.com", "b.example.com", "*.example.com", "c.example.com", "*.b.example.com", "")
ASKED = ("a.example.com", "b.example.com", "c.example.com", "d.example.com", "x.b.example.com", "other")
PATHS = ("/p1", "/p2", "/p3")
WORKERS = 4
AT_ONCE = 0.3

Key = tuple[str, str]  # host and path as they are asked for


@dataclass(frozen=True)
class World:
    """Routes by the domain and path that they match (no domain: any), with their upstreams; backends by upstream."""

    routes: Mapping[Key, str]
    upstreams: Mapping[str, str]
    listeners: tuple[str, ...] = ("front",)

    def answer(self, host: str, path: str) -> str:
        """Which backend answers; 404 where no route does."""
        parts = host.split(".")
        wildcards = (f"*.{'.'.join(parts[at:])}" for at in range(1, len(parts)))
        found = (self.routes[domain, path] for domain in (host, *wildcards, "") if (domain, path) in self.routes)
        upstream = next(found, None)
        return "404" if upstream is None else self.upstreams[upstream]

    def written(self, ports: Mapping[str, int], front: int) -> dict[str, Any]:
        """The configuration that says so."""
        return config(
            listeners={name: {"address": f"127.0.0.1:{front}"} for name in self.listeners},
            upstreams={name: {"url": f"http://127.0.0.1:{ports[at]}"} for name, at in self.upstreams.items()},
            routes=[
                route(f"r{number}", path, upstream=upstream, **({"hosts": [domain]} if domain else {}))
                for number, ((domain, path), upstream) in enumerate(sorted(self.routes.items()))
            ],
        )


class Editor:
    """Random edits; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = 0

    def first(self) -> World:
        return World(
            {("", path): "u0" for path in PATHS} | {("a.example.com", "/p1"): "u1"}, {"u0": "one", "u1": "two"}
        )

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def edited(self, world: World) -> World:
        for _ in range(self._random.choice((1, 1, 2, 5))):
            world = self._random.choice((self._route, self._route, self._no_host, self._upstream, self._move))(world)
        used = set(world.routes.values())
        return replace(world, upstreams={name: at for name, at in world.upstreams.items() if name in used})

    def _route(self, world: World) -> World:
        """A route comes, goes, or turns to another upstream."""
        key = self._random.choice(DOMAINS), self._random.choice(PATHS)
        if key in world.routes and len(world.routes) > 1 and self.chance(0.4):
            return replace(world, routes={name: to for name, to in world.routes.items() if name != key})
        return replace(world, routes={**world.routes, key: self._random.choice(sorted(world.upstreams))})

    def _no_host(self, world: World) -> World:
        """A host leaves with all its routes."""
        gone = self._random.choice(DOMAINS)
        left = {key: to for key, to in world.routes.items() if key[0] != gone}
        return replace(world, routes=left or world.routes)

    def _move(self, world: World) -> World:
        """The routes of one host become those of another."""
        old, new = self._random.sample(DOMAINS, 2)
        moved = {(new if key[0] == old else key[0], key[1]): to for key, to in world.routes.items()}
        return replace(world, routes=moved)

    def _upstream(self, world: World) -> World:
        """One takes the place of another, under a new name and elsewhere."""
        self._number += 1
        old, new = self._random.choice(sorted(world.upstreams)), f"v{self._number}"
        upstreams = {name: at for name, at in world.upstreams.items() if name != old}
        routes = {key: new if to == old else to for key, to in world.routes.items()}
        return replace(world, routes=routes, upstreams={**upstreams, new: self._random.choice(BACKENDS)})


@dataclass
class Load:
    """Requests without a pause, each judged by what the configuration was meanwhile."""

    port: int
    states: list[World]
    settled: int = 0
    judged: int = 0
    failures: list[tuple[Key, str, frozenset[str]]] = field(default_factory=list)
    over: bool = False

    async def work(self, choice: random.Random) -> None:
        connection = None
        while not self.over:
            await asyncio.sleep(0.002)
            since, key = self.settled, (choice.choice(ASKED), choice.choice(PATHS))
            try:
                connection = connection or Connection(*await asyncio.open_connection("127.0.0.1", self.port))
                answer = await connection.get(key[1], close=False, host=key[0])
            except (OSError, asyncio.IncompleteReadError) as error:
                answer, connection = repr(error), None
            expected = frozenset(state.answer(*key) for state in self.states[since:])
            self.judged += 1
            if answer.partition(" ")[0] not in expected:
                self.failures.append((key, answer, expected))
        if connection is not None:
            await connection.close()


@asynccontextmanager
async def running(load: Load, seed: int) -> AsyncIterator[Load]:
    tasks = [asyncio.create_task(load.work(random.Random(seed + number))) for number in range(WORKERS)]
    try:
        yield load
    finally:
        load.over = True
        await asyncio.gather(*tasks)


class Course:
    """Configurations on their way to the Envoy of a line."""

    def __init__(self, found: Line, ports: Mapping[str, int], front: int, folder: str) -> None:
        self._line = found
        self._ports = ports
        self._front = front
        self._compiler = Compiler(WIRING)
        self._folder = Path(folder)

    async def publish(self, world: World, *, wait: bool = True) -> None:
        file = written(self._folder, world.written(self._ports, self._front))
        envoy = self._compiler.release(self._compiler.read(file, {}).gateway).envoy
        resources = [item for named in envoy.resources.values() for item in named.values()]
        if not wait:
            self._line.offer(*resources)
            return
        outcome = await self._line.publish(*resources)
        assert not outcome.refused
        await eventually(lambda: self._line.ads.converged(ENVOYS.cluster), within=SOON, every=0.005)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Printed with the output of a test that fails; --edits-seed makes the same edits again."""
    given: int | None = request.config.getoption("--edits-seed")
    found = random.randrange(2**32) if given is None else given
    print(f"--edits-seed={found}")
    return found


async def serves(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


async def test_55_56_59_no_request_fails_while_virtual_hosts_come_and_go(
    seed: int, request: pytest.FixtureRequest
) -> None:
    editor = Editor(seed)
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(backend(name)) for name in BACKENDS}
        found = await stack.enter_async_context(line(HOSTS, linger=LINGER_SECONDS))
        world, front = editor.first(), free_port()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edits"))
        course = Course(found, ports, front, folder)
        publishing = asyncio.create_task(course.publish(world))
        await eventually(lambda: serves(front), within=SOON, every=0.001)
        load = await stack.enter_async_context(running(Load(front, [world]), seed))  # from the first moment on
        await publishing
        for _ in range(request.config.getoption("--edits")):
            world = editor.edited(world)
            load.states.append(world)
            if editor.chance(AT_ONCE):
                await course.publish(world, wait=False)
            else:
                await course.publish(world)
                load.settled = len(load.states) - 1
        await course.publish(world)
        load.settled = len(load.states) - 1
        (table,) = (await found.envoy.dump())["RoutesConfigDump"]["dynamic_route_configs"]

    print(f"{load.judged} requests")
    assert load.failures[:5] == []
    assert load.judged
    domains = {"*"} | {domain for domain, _ in world.routes if domain}
    names = {item["name"] for item in table["route_config"]["virtual_hosts"]}
    assert names == {f"{ROUTES}/{domain}" for domain in domains}
