"""A server of the same world in a process of its own: `python -m tests.conformance.replica SOCKET`."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service_kit.endpoint import UnixEndpoint
from tests.conformance.server import running_server, world
from tests.support.eventually import until
from tests.support.processes import python_process

SECONDS = 60.0


@contextmanager
def replica() -> Iterator[UnixEndpoint]:
    """The address of such a process; it lives as long as the context."""
    with tempfile.TemporaryDirectory(prefix="replica") as folder:
        at = Path(folder) / "x.sock"
        with python_process("-m", "tests.conformance.replica", at) as process:
            until(lambda: at.exists() or process.poll() is not None)
            yield UnixEndpoint(at)


async def _serve(at: Path) -> None:
    async with running_server(endpoint=UnixEndpoint(at)) as server:
        server.serve(*reversed(world()))
        await asyncio.sleep(SECONDS)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
