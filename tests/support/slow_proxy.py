"""A TCP port before a Unix socket, that passes on what the server answers as late as a test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

CHUNK = 1 << 16


@dataclass
class SlowProxy:
    """`delay` is in seconds, of each piece of an answer."""

    port: int = 0
    delay: float = 0.0


@asynccontextmanager
async def slow_proxy(socket: str) -> AsyncIterator[SlowProxy]:
    """The proxy, until the block ends; connections that are open then are cut."""
    proxy = SlowProxy()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError):
            of_server, to_server = await asyncio.open_unix_connection(socket)
            answers = asyncio.create_task(_passed(of_server, writer, proxy))
            await _passed(reader, to_server, SlowProxy())
            answers.cancel()
            to_server.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: SlowProxy) -> None:
    while piece := await reader.read(CHUNK):
        await asyncio.sleep(pace.delay)
        writer.write(piece)
        await writer.drain()
