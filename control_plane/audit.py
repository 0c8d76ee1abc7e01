"""The audit trail as the control plane writes it: what operators ask for, and what happens by itself.

What an operator asks for is refused where it cannot be written down. What nobody asked for, a changed file or signing
keys that are due, is not held up by a disk: it is told in its order as soon as the disk takes it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge

from service_kit.api_keys import RandomBytes
from service_kit.audit import AuditEvent, AuditFile, By, Facts, Result, bounded
from service_kit.clock import Clock
from service_kit.log import Logger

T = TypeVar("T")

ID_BYTES: Final = 16
# Events that wait for a disk that takes none, some megabytes; after that the oldest go.
MOST_WAITING: Final = 10_000
# Seconds between two tries of a disk that takes none.
TRY_AGAIN: Final = 1.0
INTERRUPTED: Final = "the control plane ended before it could write how this ended"


class AuditUnavailable(Exception):  # noqa: N818 - what the operator reads, not a fault of the program
    """What was asked cannot be written down, and so was not begun."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the audit trail cannot be written ({reason}), so nothing was changed; "
            "make room for the file that --audit-log names, where the control plane may write it"
        )


@dataclass
class Act:
    """What an operator asks for, as far as it is known; whoever does it says what it is about and what changed."""

    by: By
    object: str
    old: Facts | None = None
    new: Facts | None = None

    @property
    def actor(self) -> str:
        return self.by.actor


# What an error says of an act; None where nobody foresaw it.
Verdict = Callable[[Exception], Result | None]


class Trail:
    """Writes events in one order; each is on the disk before whoever caused it is answered."""

    def __init__(
        self, file: AuditFile, *, clock: Clock, log: Logger, registry: CollectorRegistry, random_bytes: RandomBytes
    ) -> None:
        self._file = file
        self._clock = clock
        self._log = log
        self._random_bytes = random_bytes
        self._waiting: deque[AuditEvent] = deque()
        self._more = asyncio.Event()
        self._in_order = asyncio.Lock()
        self._under_way: set[asyncio.Task[object]] = set()
        self._reason = ""
        waiting = Gauge("tollgate_audit_waiting", "Events that the disk has not taken yet", registry=registry)
        waiting.set_function(lambda: len(self._waiting))
        self._lost = Counter(
            "tollgate_audit_lost", "Events that waited for a disk in vain, and are in its log alone", registry=registry
        )
        self._events = Counter("tollgate_audit_events", "Events by how the act ended", ["result"], registry=registry)

    async def done(
        self, by: By, action: str, named: str, work: Callable[[Act], Awaitable[T]], *, verdict: Verdict
    ) -> T:
        """What the work gives, once it is written down how it ended. AuditUnavailable: it was not begun.

        Who asks may go away meanwhile: what was begun is done, and told.
        """
        task: asyncio.Task[T] = asyncio.create_task(self._done(by, action, named, work, verdict))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    def note(
        self,
        by: By,
        action: str,
        named: str,
        *,
        old: Facts | None = None,
        new: Facts | None = None,
        result: Result = Result.DONE,
        why: str = "",
    ) -> None:
        """What happened by itself; on the disk as soon as it takes it."""
        self._wait(replace(self._event(by, action, named), old=old, new=new, result=result, why=why))

    async def begin(self) -> None:
        """Ends what a process before this one left open."""
        try:
            left = await asyncio.to_thread(self._file.unfinished)
        except OSError as error:
            self._log.error("the audit trail cannot be read", reason=str(error))
            return
        for event in left:
            self._wait(replace(event, at=self._clock.now(), why=INTERRUPTED))

    async def run(self) -> None:
        """Writes what waits, forever."""
        while True:
            self._more.clear()
            # A thread that writes is not stopped: whoever went on without it would write the same again.
            if not await asyncio.shield(self._written()):
                await asyncio.sleep(TRY_AGAIN)
            elif not self._waiting:
                await self._more.wait()

    async def close(self) -> None:
        """What is under way ends, and what waits is tried once more."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._written()

    async def _done(self, by: By, action: str, named: str, work: Callable[[Act], Awaitable[T]], verdict: Verdict) -> T:
        event, act = self._event(by, action, named), Act(by, named)
        await self._begun(event)
        try:
            answer = await work(act)
        except Exception as error:
            result = verdict(error)
            # An error that nobody foresaw may say anything: its kind is enough.
            why = type(error).__name__ if result is None else str(error)
            await self._ended(event, act, result or Result.FAILED, why)
            raise
        await self._ended(event, act, Result.DONE, "")
        return answer

    async def _begun(self, event: AuditEvent) -> None:
        if not await self._written(event):
            self._log.error("refused: the audit trail cannot be written", action=event.action, reason=self._reason)
            raise AuditUnavailable(self._reason)

    async def _ended(self, event: AuditEvent, act: Act, result: Result, why: str) -> None:
        """Its beginning is on the disk: where the end is not taken now, it waits."""
        self._wait(
            replace(event, at=self._clock.now(), object=act.object, old=act.old, new=act.new, result=result, why=why)
        )
        await self._written()

    def _event(self, by: By, action: str, named: str) -> AuditEvent:
        id_ = self._random_bytes(ID_BYTES).hex()
        return AuditEvent(id_, self._clock.now(), by.actor, by.origin, action, named)

    def _wait(self, event: AuditEvent) -> None:
        self._events.labels(event.result).inc()
        if len(self._waiting) >= MOST_WAITING:
            self._lost.inc()
            self._log.error("audit event lost", **asdict(bounded(self._waiting.popleft())))
        self._waiting.append(event)
        self._more.set()

    async def _written(self, *more: AuditEvent) -> bool:
        """Whether all that waits, and these, are on the disk."""
        async with self._in_order:
            told = tuple(self._waiting)
            if not (told or more):
                return True
            try:
                await asyncio.to_thread(self._file.append, *told, *more)
            except OSError as error:
                self._trouble(error)
                return False
            written = {event.id for event in told}
            self._waiting = deque(event for event in self._waiting if event.id not in written)
        if self._reason:
            self._log.info("the audit trail can be written again")
        self._reason = ""
        return True

    def _trouble(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if reason != self._reason:
            self._log.error("the audit trail cannot be written", reason=reason, waiting=len(self._waiting))
        self._reason = reason
