"""All Services that upstreams name: who follows them, and when what they say goes on.

Changes that come together go on together.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from control_plane.endpoints.follower import Follower, Source
from control_plane.endpoints.slices import Endpoint, Moving, endpoints_of, offered_ports
from control_plane.endpoints.source import Service
from control_plane.ir.model import KubernetesService, Upstream
from service_kit.clock import Clock
from service_kit.log import Logger

# Seconds without another change after which changes go on, and the longest time they are held up.
QUIET: Final = 0.1
LONGEST: Final = 1.0
# So long a configuration waits for its first endpoints.
FIRST_LIST: Final = 5.0

Wanted = dict[str, KubernetesService]  # by the name of the upstream


class EndpointWatcher:
    """Follows the Services of the live configuration, and of one that is about to be; `run` does the work."""

    def __init__(
        self,
        source: Source,
        *,
        clock: Clock,
        log: Logger,
        registry: CollectorRegistry,
        random: Callable[[], float],
        changed: Callable[[Moving], None],
    ) -> None:
        self._source = source
        self._clock = clock
        self._log = log
        self._random = random
        self._tell = changed
        self._live: Wanted = {}
        self._candidate: Wanted = {}
        self._followers: dict[Service, Follower] = {}
        self._news = asyncio.Event()
        self._rearranged = asyncio.Event()
        self._told: Moving = {}
        self._lacking: set[KubernetesService] = set()
        self._count = Gauge("tollgate_endpoints", "Endpoints that Kubernetes tells", ["upstream"], registry=registry)
        up = Gauge(
            "tollgate_endpoints_source_up", "1 while all Services that are named are followed", registry=registry
        )
        up.set_function(lambda: float(all(follower.is_current for follower in self._followers.values())))

    async def prepare(self, upstreams: Iterable[Upstream], *, seconds: float = FIRST_LIST) -> None:
        """Follows upstreams that may go live, too; returns once each Service was listed, or after so many seconds."""
        self._candidate = _wanted(upstreams)
        self._rearrange()
        waits = [self._followers[_service(item)].listed.wait() for item in self._candidate.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*waits)

    def watch(self, upstreams: Iterable[Upstream]) -> Moving:
        """The endpoints of upstreams that are live from now on: only theirs are followed, and changes go on."""
        self._live, self._candidate = _wanted(upstreams), {}
        self._rearrange()
        self._told = self.current()
        self._measure(self._told)
        return self._told

    def current(self) -> Moving:
        """The endpoints of the live upstreams, as far as anything is known of them."""
        return {name: self._endpoints(item) for name, item in self._live.items()}

    async def run(self) -> None:
        """Follows, and hands changes on, forever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_all(tasks))
            while True:
                await self._news.wait()
                await self._settled()
                self._hand_on()

    async def _follow_all(self, tasks: asyncio.TaskGroup) -> None:
        running: dict[Follower, asyncio.Task[None]] = {}
        while True:
            self._rearranged.clear()
            wanted = set(self._followers.values())
            for follower in running.keys() - wanted:
                running.pop(follower).cancel()
            for follower in wanted - running.keys():
                running[follower] = tasks.create_task(follower.run())
            await self._rearranged.wait()

    async def _settled(self) -> None:
        """Returns when nothing has changed for a moment, or changes have been held up long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                while self._news.is_set():
                    self._news.clear()
                    await asyncio.sleep(QUIET)
        self._news.clear()

    def _hand_on(self) -> None:
        now = self.current()
        self._measure(now)
        if now != self._told:
            self._told = now
            self._tell(now)

    def _rearrange(self) -> None:
        services = {_service(item) for item in (*self._live.values(), *self._candidate.values())}
        self._followers = {item: self._followers.get(item) or self._follower(item) for item in sorted(services)}
        self._rearranged.set()

    def _follower(self, service: Service) -> Follower:
        return Follower(
            service, self._source, clock=self._clock, log=self._log, random=self._random, changed=self._news.set
        )

    def _endpoints(self, wanted: KubernetesService) -> tuple[Endpoint, ...] | None:
        follower = self._followers[_service(wanted)]
        if not follower.listed.is_set():
            return None
        slices = follower.slices
        lacks = bool(slices) and all(item.number_of(wanted.port) is None for item in slices)
        if lacks and wanted not in self._lacking:
            offered = ", ".join(offered_ports(slices)) or "none"
            self._log.warning("no pod of a service has the port", service=wanted.host, port=wanted.port, ports=offered)
        (self._lacking.add if lacks else self._lacking.discard)(wanted)
        return endpoints_of(slices, wanted.port, wanted.host)

    def _measure(self, moving: Moving) -> None:
        self._count.clear()
        for name in self._live:
            self._count.labels(name).set(len(moving.get(name) or ()))


def _wanted(upstreams: Iterable[Upstream]) -> Wanted:
    return {item.name: item.kubernetes for item in upstreams if item.kubernetes is not None}


def _service(item: KubernetesService) -> Service:
    return Service(item.namespace, item.service)
