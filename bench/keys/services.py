"""What tells keys in a control plane, and real authorizers that are told: how long a change takes to all of them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from bench.keys.corpus import POLICY, SERVICE, Corpus
from bench.load import LoadFailed
from bench.processes import running_process
from control_plane.keys.distribution import Distribution
from control_plane.keys.entries import KeySpec
from control_plane.keys.identities import Identities
from control_plane.server.ads import Ads
from control_plane.server.transport import xds_server
from control_plane.server.types import SERVICES
from control_plane.snapshot import resource, snapshot
from service_kit.clock import SystemClock
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE
from service_kit.endpoint import unix_endpoint

CLOCK = SystemClock()
# Seconds in which new authorizers have all keys, or something is wrong.
LONGEST_START = 300.0
LOOK = 0.02


@dataclass(frozen=True)
class Plane:
    """The store and what tells it."""

    stored: Identities
    distribution: Distribution


async def told(corpus: Corpus, services: int, changes: int) -> dict[str, Any]:  # Any: JSON
    """Seconds until new authorizers have all keys, and of each change until the last has it on its disk and ACKs it."""
    async with _serving(corpus) as plane, AsyncExitStack() as stack:
        start = CLOCK.monotonic()
        for number in range(services):
            stack.enter_context(running_process(_authorizer(corpus, number), log=corpus.folder / f"log{number}"))
        async with asyncio.timeout(LONGEST_START):
            while not await _all_run(plane, services):  # noqa: ASYNC110 - that one connects has no event of its own
                await asyncio.sleep(LOOK)
        begun = CLOCK.monotonic() - start
        created, revoked = [], []
        for _ in range(changes):
            made, seconds = await _timed(plane, plane.stored.create_key(KeySpec("consumer-0"), by="bench"))
            created.append(seconds)
            _, seconds = await _timed(plane, plane.stored.revoke(made.key.id, by="bench"))
            revoked.append(seconds)
    return {"begun": begun, "created": created, "revoked": revoked}


@asynccontextmanager
async def _serving(corpus: Corpus) -> AsyncIterator[Plane]:
    log, registry = structlog.get_logger(), CollectorRegistry()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors
    ads = Ads(clock=CLOCK, log=log, registry=registry)
    distribution = Distribution(ads, CLOCK, registry)

    def tell() -> None:
        if stored.snapshot is not None:
            distribution.tell(stored.snapshot)

    stored = corpus.identities(changed=tell)
    policy = resource(AUTHZ_POLICY_TYPE, AUTHZ_POLICY_NAME, POLICY.SerializeToString())
    ads.set_snapshot(SERVICES.cluster, snapshot([policy]))
    await stored.open()
    server = xds_server(ads, unix_endpoint(corpus.folder / "xds.sock"), None)
    await server.start()
    try:
        yield Plane(stored, distribution)
    finally:
        await server.stop()
        await stored.close()


async def _timed(plane: Plane, change: Awaitable[Any]) -> tuple[Any, float]:  # Any: what the change answers
    start = CLOCK.monotonic()
    answer = await change
    arrived = await plane.distribution.arrived()
    if arrived.waiting:
        raise LoadFailed(f"a change did not arrive at {arrived.waiting}")
    return answer, CLOCK.monotonic() - start


async def _all_run(plane: Plane, services: int) -> bool:
    arrived = await plane.distribution.arrived()
    return arrived.services == services and not arrived.waiting


def _authorizer(corpus: Corpus, number: int) -> list[str]:
    """One that starts with nothing."""
    folder = corpus.folder
    places = {
        "--listen": f"unix:{folder}/authz{number}.sock",
        "--control-plane": f"unix:{folder}/xds.sock",
        "--state-dir": f"{folder}/state{number}",
        "--log-level": "error",
    }
    return [sys.executable, "-m", SERVICE, *(word for pair in places.items() for word in pair)]
