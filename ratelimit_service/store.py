"""The store that an address names, as the place where scripts run: one server, a master of Sentinels, or a cluster.

Errors: StoreAddressError - the address or a file beside it cannot be used. Unanswered (failures.py) - of each step.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from ratelimit_service.addresses import Kind, StoreAddress, parse_store_address
from ratelimit_service.cluster import Cluster
from ratelimit_service.connections import StoreOptions, master_client, server_client
from ratelimit_service.failures import FailureKind, Unanswered
from ratelimit_service.node import Node, Redirected
from ratelimit_service.scripts import Reply, Scripts, Step
from ratelimit_service.store_watch import StoreWatch, Unwatched
from service_kit.clock import Clock, SystemClock

PLAIN: Final = StoreOptions()


class Store(Scripts, Protocol):
    """Where steps run, until it is closed."""

    async def close(self) -> None: ...


class Server:
    """Scripts on one server, whichever that is at the time."""

    clustered: Final = False

    def __init__(self, node: Node, *closing: Callable[[], Awaitable[None]]) -> None:
        self._node = node
        self._closing = closing

    async def call(self, step: Step) -> Reply:
        try:
            return await self._node.call(step)
        except Redirected as answer:
            raise Unanswered(
                FailureKind.CLUSTER,
                f"{self._node.name} is a server of a cluster: write redis+cluster:// in its address",
            ) from answer

    async def close(self) -> None:
        await self._node.close()
        for close in self._closing:
            await close()


def redis_store(
    address: str, options: StoreOptions = PLAIN, *, clock: Clock | None = None, watch: StoreWatch | None = None
) -> Store:
    """The store at the address; nothing is connected before the first step."""
    place = parse_store_address(address)
    clock, watch = clock or SystemClock(), watch or Unwatched()
    match place.kind:
        case Kind.CLUSTER:
            return _cluster(place, options, clock, watch)
        case Kind.SENTINEL:
            client, sentinels = master_client(place, options)
            closing = [sentinel.aclose for sentinel in sentinels.sentinels]
        case Kind.SINGLE:
            client, closing = server_client(place, place.hosts[0] if place.hosts else None, options), []
    return Server(Node(client, str(place), timeout=options.timeout, clock=clock, watch=watch), *closing)


def _cluster(place: StoreAddress, options: StoreOptions, clock: Clock, watch: StoreWatch) -> Cluster:
    server_client(place, place.hosts[0], options)  # connects nothing, but refuses what cannot be used
    return Cluster(
        place.hosts,
        client=lambda host: server_client(place, host, options),
        timeout=options.timeout,
        clock=clock,
        watch=watch,
    )
