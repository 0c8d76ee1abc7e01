"""The real Envoy refuses what we took for good: the rest of the edit goes live, and nobody else ever hears of it."""

import asyncio
import json
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from envoy.config.listener.v3 import listener_pb2 as listener_pb

from control_plane.compile import Compiler
from control_plane.config.errors import InvalidConfig, Location
from control_plane.gate.candidate import Candidate
from control_plane.gate.gate import Gate
from control_plane.publication.outcome import Outcome
from control_plane.server.types import short_name
from control_plane.snapshot import EMPTY, Release, Resource, snapshot
from control_plane.xds.names import LISTENER_TYPE, ROUTES_TYPE, VIRTUAL_HOST_TYPE
from service_kit.clock import SystemClock
from service_kit.endpoint import UnixEndpoint
from tests.support.compiled import WIRING, compiled, config, route
from tests.support.envoy import envoy_binary
from tests.support.eventually import eventually
from tests.support.live_envoy import is_saying, running_envoy
from tests.support.modes import Mode
from tests.support.ports import free_port
from tests.support.xds import ControlPlane, cluster, control_plane, endpoints, listener, packed, publisher, routes

# More instructions than Envoy takes unless told, and less than the validator does.
TOO_LARGE = "(a?){150}"
OF_ROUTES = (short_name(ROUTES_TYPE), short_name(VIRTUAL_HOST_TYPE))


@dataclass(frozen=True)
class Named(Mode):
    """An Envoy with an id of its own."""

    node: str = ""

    def bootstrap(self, control_plane_at: UnixEndpoint, admin: str) -> dict[str, object]:
        found: dict[str, Any] = {**super().bootstrap(control_plane_at, admin)}
        return {**found, "node": {**found["node"], "id": self.node}}


def mode(node: str) -> Named:
    """As Envoys of `tollgate run` are: routes come by virtual hosts."""
    return Named("delta", "DELTA_GRPC", hosts=True, node=node)


class Live:
    """What follows the file in the control plane: the gate before the publisher, and again after a refusal."""

    def __init__(self, xds: ControlPlane, envoy: Path | None) -> None:
        self.xds = xds
        self.outcomes: list[Outcome] = []
        self.errors: tuple[str, ...] = ()
        self.offer: Callable[[Release], None]
        self._gate = Gate(Compiler(WIRING), envoy, Location("gateway.yaml", 1, 1), SystemClock())
        self._published: list[Candidate] = []
        self._current: Candidate | None = None
        self._heard: asyncio.Queue[Outcome] = asyncio.Queue()

    @property
    def current(self) -> Candidate:
        assert self._current is not None
        return self._current

    def judged(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.refused:
            self._heard.put_nowait(outcome)

    async def write(self, content: Mapping[str, Any]) -> None:
        self._publish(await self._gate.admitted(compiled(content), self._current))

    async def run(self) -> None:
        while True:
            outcome = await self._heard.get()
            candidate, last = self._made(outcome.release), self._made(outcome.instead)
            if candidate is not None and candidate is self._current:
                self._current = last
                try:
                    self._publish(await self._gate.without_refused(outcome, candidate, last))
                except InvalidConfig as error:
                    self.errors = tuple(map(str, error.errors))

    def _publish(self, candidate: Candidate) -> None:
        self._published.append(candidate)
        self._current = candidate
        self.errors = tuple(map(str, candidate.held))
        self.offer(candidate.release)

    def _made(self, release: Release | None) -> Candidate | None:
        return next((item for item in reversed(self._published) if item.release is release), None)


@asynccontextmanager
async def live(validator: Path | None = None) -> AsyncIterator[tuple[Live, AsyncExitStack]]:
    async with AsyncExitStack() as stack:
        found = Live(await stack.enter_async_context(control_plane()), validator)
        found.offer = (await stack.enter_async_context(publisher(found.xds.ads, judged=found.judged))).publish
        task = asyncio.create_task(found.run())
        try:
            yield found, stack
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def answer(name: str, path: str | None = None, **changes: Any) -> dict[str, Any]:
    """A public route that the gateway answers itself, with its name."""
    written = route(name, path or f"/{name}", respond={"body": name, "status": 200}, **changes)
    del written["upstream"]
    return written


def gateway(port: int, *found: dict[str, Any]) -> dict[str, Any]:
    return config(listeners={"public": {"address": f"127.0.0.1:{port}"}}, routes=list(found))


def large(name: str) -> dict[str, Any]:
    return {**answer(name), "match": {"path_regex": f"/{name}/{TOO_LARGE}"}}


@pytest.mark.parametrize("validator", [None, envoy_binary()], ids=["no validator", "a validator that takes more"])
async def test_what_envoy_alone_refuses_is_held_back_and_the_rest_of_the_edit_goes_live(validator: Path | None) -> None:
    port = free_port()
    async with live(validator) as (found, stack):
        await found.write(gateway(port, answer("a"), answer("kept", "/kept")))
        envoy = await stack.enter_async_context(running_envoy(found.xds.endpoint, mode("one")))
        await eventually(is_saying(envoy, "/a", "a"), within=15)

        await found.write(gateway(port, answer("a"), large("kept"), large("new"), answer("b")))
        await eventually(is_saying(envoy, "/b", "b"), within=15)
        await eventually(lambda: found.xds.ads.converged("tollgate-envoy"))

        assert await envoy.says("/kept") == "kept"
        assert await envoy.says("/new/a") == "404"
        assert [(item.name, item.absent) for item in found.current.held] == [("kept", False), ("new", True)]
        assert all("one refuses it: regex '" in item and "max program size" in item for item in found.errors)
        assert all(".yaml:" in item for item in found.errors)


async def test_who_comes_next_is_sent_nothing_that_was_refused() -> None:
    port = free_port()
    async with live() as (found, stack):
        await found.write(gateway(port, answer("a")))
        one = await stack.enter_async_context(running_envoy(found.xds.endpoint, mode("one")))
        await eventually(is_saying(one, "/a", "a"), within=15)
        await found.write(gateway(port, answer("a"), large("new"), answer("b")))
        await eventually(is_saying(one, "/b", "b"), within=15)
        nacks = refused_pushes(found)

        two = await stack.enter_async_context(running_envoy(found.xds.endpoint, mode("two")))
        await eventually(is_saying(two, "/b", "b"), within=15)
        await eventually(lambda: found.xds.ads.converged("tollgate-envoy"))

        assert (nacks, refused_pushes(found)) == (1, 1)
        assert TOO_LARGE not in str(await two.dump())


def refused_pushes(found: Live) -> float:
    """How many pushes of routes were ever NACKed."""
    return sum(
        sample.value
        for metric in found.xds.registry.collect()
        for sample in metric.samples
        if sample.name == "tollgate_xds_nacks_total" and sample.labels["type"] in OF_ROUTES
    )


async def test_an_edit_that_may_not_be_taken_apart_leaves_everything_as_it_was() -> None:
    port = free_port()
    async with live() as (found, stack):
        await found.write(gateway(port, answer("a")))
        envoy = await stack.enter_async_context(running_envoy(found.xds.endpoint, mode("one")))
        await eventually(is_saying(envoy, "/a", "a"), within=15)

        await found.write(gateway(port, answer("a"), large("guard"), answer("all", "/*")))
        await eventually(lambda: found.errors)

        assert "another route of the same edit, 'all'" in found.errors[0]
        await eventually(lambda: found.xds.ads.converged("tollgate-envoy"))
        assert (await envoy.says("/a"), await envoy.says("/guard/a")) == ("a", "404")


def pipe(name: str, path: str) -> Resource:
    """A listener on a socket of the file system; a relative path is one of Envoy's own folder."""
    message = listener_pb.Listener.FromString(listener(name, "r").body)
    message.address.pipe.path = path
    return packed(LISTENER_TYPE, name, message)


@asynccontextmanager
async def envoy_in(folder: Path, xds: ControlPlane, node: str) -> AsyncIterator[None]:
    """An Envoy that is at home in this folder."""
    assert isinstance(xds.endpoint, UnixEndpoint)
    bootstrap = folder / "bootstrap.json"
    bootstrap.write_text(json.dumps(mode(node).bootstrap(xds.endpoint, str(folder / "admin.sock"))))
    process = await asyncio.create_subprocess_exec(
        str(envoy_binary()), "-c", str(bootstrap), "--disable-hot-restart", "--concurrency", "1", "-l", "error",
        cwd=folder,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_what_one_of_two_cannot_bind_holds_up_nobody() -> None:
    outcomes: list[Outcome] = []
    async with AsyncExitStack() as stack:
        xds = await stack.enter_async_context(control_plane())
        releases = await stack.enter_async_context(publisher(xds.ads, judged=outcomes.append))
        able, unable = (Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="e"))) for _ in range(2))
        (able / "sockets").mkdir()
        for folder, node in ((able, "able"), (unable, "unable")):
            await stack.enter_async_context(envoy_in(folder, xds, node))

        rest = (cluster("a"), endpoints("a", 9), pipe("front", "sockets/front.sock"), listener("other", "r"))
        releases.publish(Release(snapshot([*rest, routes("r", a="a")]), EMPTY))
        await eventually(lambda: outcomes and len(said(outcomes[-1])) == 2, within=15)
        assert said(outcomes[-1])["able"] == []
        (reason,) = said(outcomes[-1])["unable"]
        assert "front: cannot bind 'sockets/front.sock': No such file or directory" in reason

        later = Release(snapshot([*rest, routes("r", a="a", b="a")]), EMPTY)
        releases.publish(later)
        await eventually(lambda: outcomes[-1].release is later and len(said(outcomes[-1])) == 2, within=15)
        assert [outcome for outcome in outcomes if outcome.refused] == []
        assert all(acked(xds, node) == later.envoy.version(ROUTES_TYPE) for node in ("able", "unable"))


def said(outcome: Outcome) -> dict[str, list[str]]:
    """Why each node that has judged everything refuses something."""
    return {item.node: [refusal.message for refusal in item.refusals] for item in outcome.verdicts if item.settled}


def acked(xds: ControlPlane, node: str) -> str:
    (status,) = (item for item in xds.ads.statuses() if item.node == node)
    return status.types[ROUTES_TYPE].acked


async def test_a_port_in_use_is_the_nodes_fault_though_it_is_the_only_one() -> None:
    outcomes: list[Outcome] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        async with AsyncExitStack() as stack:
            xds = await stack.enter_async_context(control_plane())
            releases = await stack.enter_async_context(publisher(xds.ads, judged=outcomes.append))
            await stack.enter_async_context(running_envoy(xds.endpoint, mode("only")))
            front = listener("front", "r", port=taken.getsockname()[1])
            served = snapshot([front, listener("other", "r"), cluster("a"), endpoints("a", 9), routes("r", a="a")])
            releases.publish(Release(served, EMPTY))

            await eventually(lambda: outcomes and said(outcomes[-1]).get("only"), within=15)

            assert "Address already in use" in said(outcomes[-1])["only"][0]
            assert outcomes[-1].refused == ()
            await eventually(lambda: acked(xds, "only") == served.version(ROUTES_TYPE))
