"""What the control plane's memory does while one configuration is edited thousands of times, with a client on it.

Between the files and the client everything is the real thing but the notice that a file has changed, and the trial by
`envoy --mode validate`, which is another process's memory: each edit is read as soon as the one before it is ACKed.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from bench.load import LoadFailed
from bench.resources import memory_of
from bench.xds.corpus import Corpus, Edit
from control_plane.publication.outcome import Outcome
from control_plane.server.ads import Ads
from control_plane.server.types import ENVOYS
from service_kit.clock import SystemClock
from service_kit.endpoint import UnixEndpoint
from service_kit.log import configure_logs
from tests.support.live import live_configuration
from tests.support.xds import control_plane, publisher

OWN = "own"
# Kinds of edits take turns: mostly routes, as in life.
TURNS = (Edit.ROUTE,) * 8 + (Edit.ENDPOINT, Edit.CLUSTER)
ACK_SECONDS = 30.0


async def endurance(corpus: Corpus, edits: int, every: int, seconds: float) -> dict[str, object]:
    """Resident bytes after the first configuration and after every so many edits; no more than so many seconds."""
    clock, log = SystemClock(), configure_logs("bench", level="error")
    at = UnixEndpoint(corpus.folder.parent / "x.sock")
    said: list[Outcome] = []
    async with control_plane(at) as plane, publisher(plane.ads, judged=said.append) as releases:
        live, outcomes = live_configuration(
            corpus.folder, releases, log=log, clock=clock, registry=CollectorRegistry(), state=corpus.folder.parent
        )
        await live.start()
        hearing = asyncio.create_task(live.run())
        async with _follower(corpus, at):
            await _acknowledged(plane.ads)
            start, sizes, made = clock.monotonic(), [_own()], 0
            while made < edits and clock.monotonic() < start + seconds:
                corpus.edit(TURNS[made % len(TURNS)], made)
                await live.reload()
                await releases.published()
                await _acknowledged(plane.ads)
                _hand_on(said, outcomes.put_nowait)
                made += 1
                if made % every == 0:
                    sizes.append(_own())
            took = clock.monotonic() - start
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        if live.status.errors or live.status.held:
            raise LoadFailed(f"an edit was refused: {live.status}")
    return {"edits": made, "every": every, "seconds": took, "rss": sizes}


def _hand_on(said: list[Outcome], hear: Callable[[Outcome], None]) -> None:
    """What the client says goes where the live configuration hears it, which exists after who says it."""
    for outcome in said:
        hear(outcome)
    said.clear()


async def _acknowledged(ads: Ads) -> None:
    async with asyncio.timeout(ACK_SECONDS):
        await ads.settled(ENVOYS.cluster)
    if not ads.converged(ENVOYS.cluster):
        raise LoadFailed("the client does not run what was published")


@asynccontextmanager
async def _follower(corpus: Corpus, at: UnixEndpoint) -> AsyncIterator[None]:
    """A client in a process of its own, connected and content."""
    said = {
        "socket": str(at.path), "first": 0, "count": 1, "upstreams": corpus.upstreams, "delta": True, "hosts": False,
        "routes": True,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.xds.followers", json.dumps(said),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if process.stdout is None or not await asyncio.wait_for(process.stdout.readline(), ACK_SECONDS):
            raise LoadFailed("the client does not connect")
        yield
    finally:
        process.kill()
        await process.wait()


def _own() -> int:
    return memory_of({OWN: os.getpid()})[OWN].rss
