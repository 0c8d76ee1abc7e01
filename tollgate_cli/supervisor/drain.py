"""Empties an Envoy before it stops: SIGTERM alone would cut every stream in the middle."""

import asyncio

import httpx

from service_kit.clock import Clock
from service_kit.endpoint import UnixEndpoint
from tollgate_cli.supervisor.health import admin_client

DRAIN_POLL = 0.1
# Requests in progress, one line a connection manager: `http.public.downstream_rq_active: 3`.
ACTIVE_REQUESTS = "/stats?usedonly&filter=^http\\..*\\.downstream_rq_active$"
# The admin interface counts its own request.
ADMIN_PREFIX = "http.admin."


async def drain(admin: UnixEndpoint, *, patience: float, clock: Clock) -> None:
    """Returns when no request is in progress, after so many seconds, or when Envoy does not answer."""
    deadline = clock.monotonic() + patience
    try:
        async with admin_client(admin) as client:
            await client.post("/healthcheck/fail")
            await client.post("/drain_listeners?graceful")
            while await _active(client) and clock.monotonic() < deadline:  # noqa: ASYNC110 - Envoy is another process
                await asyncio.sleep(DRAIN_POLL)
    except httpx.TransportError:
        return


async def _active(client: httpx.AsyncClient) -> int:
    return active_requests((await client.get(ACTIVE_REQUESTS)).text)


def active_requests(stats: str) -> int:
    """The sum over the lines of Envoy's statistics that do not count the admin interface itself."""
    values = (line.rpartition(": ") for line in stats.splitlines())
    return sum(int(value) for name, _, value in values if name and not name.startswith(ADMIN_PREFIX))
