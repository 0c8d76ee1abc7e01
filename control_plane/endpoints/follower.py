"""One Service, followed: its slices as the API server last told them, whatever becomes of the API server.

A stream that ends is taken up where it ended; after what cannot be read, and where the server has forgotten how far we
were, the list is read anew. Between tries is a growing, random pause, unless the last try held for a while.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final, Protocol

from control_plane.endpoints.slices import EndpointSlice, Unreadable, endpoint_slice
from control_plane.endpoints.source import Api, Event, Expired, Json, Lost, Service
from service_kit.clock import Clock
from service_kit.log import Logger

FIRST_PAUSE: Final = 0.1  # seconds
LONGEST_PAUSE: Final = 10.0
# A try that held for so long was a good one.
HELD_SECONDS: Final = 5.0
DOUBLINGS: Final = 10
BOOKMARK: Final = "BOOKMARK"
CHANGES: Final = frozenset({"ADDED", "MODIFIED"})
DELETED: Final = "DELETED"


class Source(Protocol):
    """How the API server is reached."""

    def opened(self) -> AbstractAsyncContextManager[Api]: ...


class Follower:
    """Follows one Service while `run` runs; tells `changed` whenever it knows something new, of its state too."""

    def __init__(
        self,
        service: Service,
        source: Source,
        *,
        clock: Clock,
        log: Logger,
        random: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.listed = asyncio.Event()
        self.is_current = False
        self._service = service
        self._source = source
        self._clock = clock
        self._log = log.bind(service=str(service))
        self._random = random
        self._changed = changed
        self._slices: dict[str, EndpointSlice] = {}
        self._version: str | None = None
        self._failures = 0
        self._reason = ""

    @property
    def slices(self) -> tuple[EndpointSlice, ...]:
        """The slices last known."""
        return tuple(self._slices.values())

    async def run(self) -> None:
        """Follows, forever."""
        while True:
            began = self._clock.monotonic()
            try:
                async with self._source.opened() as api:
                    await self._follow(api)
            except Lost as error:
                self._lose(error)
            except Exception as error:  # noqa: BLE001 - a fault of ours or the client's must not end the control plane
                self._log.exception("a fault while endpoints were followed")
                self._lose(Expired(f"a fault: {error!r}"))
            if self._clock.monotonic() - began >= HELD_SECONDS:
                self._failures = 0
            await asyncio.sleep(self._pause())
            self._failures = min(self._failures + 1, DOUBLINGS)

    async def _follow(self, api: Api) -> None:
        """One list, where one is needed, and one stream."""
        if self._version is None:
            self._version = await self._listed(api)
        async with aclosing(api.events(self._service, self._version)) as events:
            async for event in events:
                if event is None:
                    self._find()
                else:
                    self._take(event)

    async def _listed(self, api: Api) -> str:
        listed = await api.listed(self._service)
        named = [(_name(item), self._read(item)) for item in listed.slices]
        self._slices = {name: read for name, read in named if read is not None}
        self.listed.set()
        self._changed()
        return listed.version

    def _take(self, event: Event) -> None:
        if event.kind in CHANGES:
            self._keep(event.slice)
        elif event.kind == DELETED:
            self._slices.pop(_name(event.slice), None)
        elif event.kind != BOOKMARK:
            raise Expired(f"it told an event of an unknown kind, {event.kind[:40]!r}")
        self._version = event.version or self._version
        if event.kind != BOOKMARK:
            self._changed()

    def _keep(self, content: Json) -> None:
        read = self._read(content)
        if read is not None:
            self._slices[_name(content)] = read

    def _read(self, content: Json) -> EndpointSlice | None:
        """The slice; of one that cannot be read, what was known of it."""
        try:
            return endpoint_slice(content)
        except Unreadable as error:
            name = _name(content)
            self._log.warning("a slice of endpoints cannot be read, what is known of it stays", reason=str(error))
            return self._slices.get(name)

    def _find(self) -> None:
        if not self.is_current:
            self._log.info("endpoints are followed", slices=len(self._slices))
        self.is_current, self._reason = True, ""
        self._changed()

    def _lose(self, error: Lost) -> None:
        if isinstance(error, Expired):
            self._version = None
        if self.is_current or str(error) != self._reason:
            self._log.warning("endpoints cannot be followed, the last known stay", reason=str(error))
        self.is_current, self._reason = False, str(error)
        self._changed()

    def _pause(self) -> float:
        longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._failures)
        return longest * (1 + self._random()) / 2


def _name(content: Json) -> str:
    """The name of a slice, of which nothing is known yet; Expired where it has none, since it could be any."""
    metadata = content.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name:
        raise Expired("it told of a slice without a name")
    return name
