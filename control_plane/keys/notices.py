"""How a control plane hears that another one, on the same database, has changed something."""

import asyncio
from collections.abc import Callable
from typing import Final

from control_plane.keys.operations import CHANNEL
from service_kit.databases import SERVER_SETTINGS
from service_kit.log import Logger

# Seconds until a lost connection is tried again. What happened meanwhile is read when it is there.
TRY_AGAIN: Final = 1.0


async def listen(url: str, log: Logger, heard: Callable[[], None]) -> None:
    """Calls `heard` at each notice, and once whenever it begins to listen; until cancelled."""
    import psycopg  # noqa: PLC0415 - a dependency of those alone who keep keys in PostgreSQL

    reachable = True
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True, **SERVER_SETTINGS)
            async with connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                reachable = True
                heard()
                async for _ in connection.notifies():
                    heard()
        except (psycopg.Error, OSError) as error:
            if reachable:
                log.warning("changes made elsewhere are not heard of, but looked for", reason=str(error))
            reachable = False
        await asyncio.sleep(TRY_AGAIN)
