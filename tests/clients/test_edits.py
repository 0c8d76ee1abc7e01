"""Make before break: the real Envoy under load while everything it runs is edited at random, and no request fails."""

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from control_plane.publication.publisher import LINGER_SECONDS
from control_plane.server.types import ENVOYS
from control_plane.snapshot import Resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, LISTENER_TYPE
from tests.support.certificates import Authority
from tests.support.config_dump import read_config_dump
from tests.support.edits import Editor
from tests.support.eventually import eventually
from tests.support.live_envoy import SOON, Line, backend, line
from tests.support.load import Load, load
from tests.support.modes import ADS_MODES, Mode
from tests.support.ports import free_ports_prefix

BACKENDS = ("one", "two", "three", "four")
CERTIFICATES = 3
# How many edits follow one another without a look at what the one before has come to.
AT_ONCE = 0.25
SHOWN = 5


class Course:
    """A gateway on its line, and the edits that it has been through."""

    def __init__(self, line: Line, editor: Editor, ports: dict[str, int], authority: Authority) -> None:
        self.line = line
        self.gateway = editor.first()
        self.editor = editor
        self._ports = ports
        self._certificates = tuple(authority.issue("localhost") for _ in range(CERTIFICATES))

    def resources(self) -> tuple[Resource, ...]:
        return tuple(self.gateway.resources(self.line.mode.source, self._ports, self._certificates))

    async def begin(self) -> None:
        await self.line.publish(*self.resources())
        await self.settled()

    async def edit(self, load: Load) -> None:
        """One edit, published under load; the load learns of it first."""
        self.gateway = self.editor.edited(self.gateway)
        load.edited(self.gateway, await self.served())
        if self.editor.chance(AT_ONCE):
            self.line.offer(*self.resources())
        else:
            await self.line.publish(*self.resources())
            await self.settled()
            load.settled()

    async def served(self) -> set[int]:
        return set((await self.line.envoy.ports()).values())

    async def settled(self) -> None:
        """Every listener serves, all is ACKed, nothing warms."""

        async def still() -> bool:
            envoy, ads = self.line.envoy, self.line.ads
            return (
                ads.converged(ENVOYS.cluster)
                and set(await envoy.ports()) == set(self.gateway.fronts)
                and not await envoy.warming()
            )

        await eventually(still, within=SOON, every=0.005)


@pytest_asyncio.fixture
async def ports() -> AsyncIterator[dict[str, int]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(backend(name)) for name in BACKENDS}


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Printed with the output of a test that fails; --edits-seed makes the same edits again."""
    given: int | None = request.config.getoption("--edits-seed")
    found = random.randrange(2**32) if given is None else given
    print(f"--edits-seed={found}")
    return found


@pytest.mark.parametrize("mode", ADS_MODES, ids=lambda mode: mode.name)
async def test_55_56_59_no_request_fails_while_everything_is_edited(
    mode: Mode, seed: int, ports: dict[str, int], request: pytest.FixtureRequest
) -> None:
    authority = Authority()
    trust = ssl.create_default_context(cadata=authority.pem)
    async with line(mode, linger=LINGER_SECONDS) as found:
        course = Course(found, Editor(seed, BACKENDS, CERTIFICATES, free_ports()), ports, authority)
        await course.begin()
        async with load(trust, course.gateway, await course.served(), seed) as running:
            for _ in range(request.config.getoption("--edits")):
                await course.edit(running)
            await found.publish(*course.resources())
            await course.settled()

        print(f"{len(course.editor.made)} edits, {running.judged} requests")
        for failure in running.failures[:SHOWN]:
            print(failure, course.editor.made[slice(*failure.edits)])
        assert not running.failures
        assert all(running.judged.values())
        await eventually(lambda: runs_what_was_published(course), within=2 * SOON)


async def runs_what_was_published(course: Course) -> bool:
    """Envoy's clusters and listeners are those that were published last, to the byte, and no other."""
    published = snapshot(course.resources())
    dump = read_config_dump(await course.line.envoy.dump())
    return all(
        {name: item.message.value for name, item in dump.resources[type_url].items()}
        == {name: item.body for name, item in published.of(type_url).items()}
        for type_url in (CLUSTER_TYPE, LISTENER_TYPE)
    )


def free_ports() -> tuple[int, ...]:
    prefix = free_ports_prefix()
    return tuple(int(f"{prefix}0{number}") for number in range(1, 8))
