from collections.abc import AsyncIterator

import pytest

from tests.conformance.client import Client
from tests.conformance.modes import Mode
from tests.conformance.server import Server, running_server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server of this test; Envoys are sent nothing before `serve`."""
    async with running_server() as found:
        yield found


@pytest.fixture
async def client(server: Server, mode: Mode) -> AsyncIterator[Client]:
    """A client of it, in the test's mode."""
    async with server.client(mode) as found:
        yield found
