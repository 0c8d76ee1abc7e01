"""Stored keys and consumers for tests: on SQLite, and on a real PostgreSQL."""

import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from control_plane.keys.entries import Declared
from control_plane.keys.identities import Identities
from service_kit.clock import Clock
from tests.support.postgres import PostgresServer

PEPPER = b"a-pepper-of-at-least-thirty-two-bytes"
DATABASES = ("sqlite", "postgresql")
DECLARED = Declared(frozenset({"declared"}), frozenset({"0" * 12}), frozenset({"free", "pro"}))

# A process that makes keys, revokes every other one, and says so when each is done: `["ID", REVOKED]` a line.
KEYS_UNTIL_KILLED = """
import asyncio, json, sys
from control_plane.keys.entries import KeySpec
from tests.support.clock import StillClock
from tests.support.identities import opened

async def work():
    async with opened(sys.argv[1], StillClock()) as stored:
        while True:
            key = (await stored.create_key(KeySpec("declared"), by="ops")).key.id
            print(json.dumps([key, False]), flush=True)
            other = (await stored.create_key(KeySpec("declared"), by="ops")).key.id
            await stored.revoke(other, by="ops")
            print(json.dumps([other, True]), flush=True)

asyncio.run(work())
"""

_numbers = itertools.count()


def new_store(kind: str, folder: Path, server: Callable[[], PostgresServer]) -> str:
    """The URL of a store that nobody has used."""
    name = f"users{next(_numbers)}"
    return f"sqlite://{folder}/{name}.sqlite" if kind == "sqlite" else server().new_database(name)


def identities(
    url: str, clock: Clock, *, pepper: bytes = PEPPER, changed: Callable[[], None] = lambda: None
) -> Identities:
    """Not opened yet."""
    made = Identities(url, pepper, clock=clock, log=structlog.get_logger(), random_bytes=os.urandom, changed=changed)
    made.declare(DECLARED)
    return made


@asynccontextmanager
async def opened(url: str, clock: Clock, *, changed: Callable[[], None] = lambda: None) -> AsyncIterator[Identities]:
    """Identities that were read, until the block ends."""
    made = identities(url, clock, changed=changed)
    try:
        await made.open()
        yield made
    finally:
        await made.close()
