"""Empties an Envoy before it stops: SIGTERM alone would cut every stream in the middle."""

import asyncio

from service_kit.clock import Clock
from service_kit.endpoint import UnixEndpoint
from tollgate_cli.supervisor.asking import NoAnswer, admin_answer

DRAIN_POLL = 0.1
# Requests in progress, one line a connection manager: `http.public.downstream_rq_active: 3`.
ACTIVE_REQUESTS = "/stats?usedonly&filter=^http\\..*\\.downstream_rq_active$"
# The admin interface counts its own request.
ADMIN_PREFIX = "http.admin."


async def drain(admin: UnixEndpoint, *, patience: float, clock: Clock, delay: float = 0.0) -> None:
    """Returns when no request is in progress, after so many seconds, or when Envoy does not answer.

    For the time of the delay Envoy still takes connections, while it says that it is not ready: whoever balances the
    load needs that long to notice. Then its ports are closed. A connection that is open is closed after its next answer
    from the first moment on, because an Envoy that fails its health check ends them so.
    """
    try:
        await _ask(admin, "POST", "/healthcheck/fail")
        await asyncio.sleep(delay)
        deadline = clock.monotonic() + patience
        await _ask(admin, "POST", "/drain_listeners")
        while await _active(admin) and clock.monotonic() < deadline:  # noqa: ASYNC110 - Envoy is another process
            await asyncio.sleep(DRAIN_POLL)
    except NoAnswer:
        return


async def _active(admin: UnixEndpoint) -> int:
    return active_requests(await _ask(admin, "GET", ACTIVE_REQUESTS))


async def _ask(admin: UnixEndpoint, method: str, path: str) -> str:
    return await asyncio.to_thread(admin_answer, admin, method, path)


def active_requests(stats: str) -> int:
    """The sum over the lines of Envoy's statistics that do not count the admin interface itself."""
    values = (line.rpartition(": ") for line in stats.splitlines())
    return sum(int(value) for name, _, value in values if name and not name.startswith(ADMIN_PREFIX))
