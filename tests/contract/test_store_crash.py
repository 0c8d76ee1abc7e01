"""A store that is killed in the middle of its work has every count that it acknowledged, with the settings we ship."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from ratelimit_service.failures import Unanswered
from ratelimit_service.store import redis_store
from tests.support.eventually import eventually
from tests.support.steps import PATIENT, counted, is_up
from tests.support.valkey import StoreServer
from tollgate_cli.supervisor.layout import layout
from tollgate_cli.supervisor.processes import APPENDFSYNC, Gateway, store

KILLS = 4
CALLERS = 20


class Embedded(StoreServer):
    """The store as `tollgate run` starts it."""

    def __init__(self, folder: Path, appendfsync: str) -> None:
        place = layout(folder)
        super().__init__(place.store, Path())
        for made in (place.store, place.sockets.store.path.parent):
            made.mkdir(parents=True)
        self._socket = place.sockets.store.path
        self._spec = store(Gateway(None, place, None, {**os.environ, APPENDFSYNC: appendfsync}, place.sockets.xds))

    def _command(self):
        return list(self._spec.command)


@pytest.mark.parametrize("appendfsync", ["no", "always"])
async def test_no_acknowledged_count_is_missing_after_kill_9(tmp_path, appendfsync):
    server = Embedded(tmp_path, appendfsync)
    server.start()
    counts = redis_store(server.address, PATIENT)
    acknowledged = 0

    async def caller():
        nonlocal acknowledged
        while True:
            acknowledged = max(acknowledged, await counted(counts))

    for _ in range(KILLS):
        await eventually(lambda: is_up(counts))
        before = acknowledged
        callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
        await eventually(lambda before=before: acknowledged > before + 100)
        await asyncio.sleep(random.random() / 20)
        server.kill()
        ended = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(end, Unanswered) for end in ended)
        server.start()

        kept = int(server.command("GET", "{a}"))
        assert acknowledged <= kept <= acknowledged + CALLERS

    await counts.close()
    server.stop()
