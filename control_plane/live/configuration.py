"""The live configuration: what the file says now, or the last of it that its consumers run.

A change is compiled, checked, shown to the real Envoy where its binary is at hand, and only then published. One that
fails before that changes nothing. What consumers refuse is traced to its line and held back, and the rest goes live.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from control_plane.audit import Trail
from control_plane.checked import Checked
from control_plane.config.errors import InvalidConfig, writable
from control_plane.gate.candidate import Candidate
from control_plane.gate.gate import Gate
from control_plane.history.entries import CannotRollBack, Pin, Result
from control_plane.history.past import Past
from control_plane.history.record import Record
from control_plane.keys.errors import StoreUnusable
from control_plane.live.changes import Changes
from control_plane.live.outside import Outside, located
from control_plane.live.refusals import fault, refuse_a_moved_admin_address, refuse_a_part, whole_file
from control_plane.live.status import (
    ORIGINS,
    EndpointsMoved,
    Happening,
    Metrics,
    News,
    Origin,
    Published,
    Status,
    nodes_say,
    result_of,
)
from control_plane.publication.outcome import Outcome
from control_plane.publication.publisher import Publisher
from control_plane.snapshot import Release
from service_kit.clock import Clock
from service_kit.contract import ENVOY_NODE_CLUSTER
from service_kit.log import Logger

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane.config.files import Digest

# So many published configurations are remembered: a verdict may come late.
REMEMBERED = 8


class LiveConfiguration:
    """Reads one configuration again and again, and publishes each that is good; without a path, the preset."""

    def __init__(
        self,
        gate: Gate,
        publisher: Publisher,
        news: News,
        outside: Outside,
        record: Record,
        trail: Trail,
        *,
        log: Logger,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self._reader = outside.reader
        self._gate = gate
        self._publisher = publisher
        self._news = news
        self._outside = outside
        self._record = record
        self._log = log
        self._clock = clock
        self._metrics = Metrics(registry)
        self._changes = Changes(trail, self.source)
        self._busy = asyncio.Lock()  # one configuration at a time: a change, a rollback, or what consumers say
        self._published: tuple[Published, ...] = ()
        self._live: Published | None = None
        self._since = clock.now()
        self._errors: dict[Origin, tuple[str, ...]] = {}
        self._renewed: tuple[Candidate, Origin] | None = None  # what went live last for what others publish
        self._pin: Pin | None = None
        self._restored = ""
        self._past = Past(self._reader, record, log)
        self._before: Published | None = None  # what Envoys may run from before this process began
        self._is_taken = False  # by an Envoy: what is live
        self._rollbacks: set[asyncio.Task[None]] = set()
        self._metrics.valid.set_function(self._is_valid)
        self._metrics.rolled_back.set_function(lambda: float(self._pin is not None))
        self.files: Mapping[Path, Digest] = {}

    @property
    def current(self) -> Checked:
        """The configuration that is live; start() has made one so."""
        return self.published.candidate.checked

    @property
    def published(self) -> Published:
        """What is served, and what it was made from."""
        if self._live is None:
            raise RuntimeError("the configuration is read before anything asks for it")
        return self._live

    @property
    def source(self) -> str:
        """What the configuration is read from."""
        return writable(self._reader.place.file)

    @property
    def status(self) -> Status:
        """What was wrong with the file, and what is not live of it."""
        held, number = ((), None) if self._live is None else (self._live.candidate.held, self._live.number)
        errors = tuple(text for origin in Origin for text in self._errors.get(origin, ()))
        return Status(self._since, errors, held, number, self._pin, self._restored)

    async def start(self) -> None:
        """Makes the first configuration live: the file's, the one rolled back to, or the last good one.

        InvalidConfig where the file is broken and there is nothing to fall back on.
        """
        if not await self._start_pinned():
            await self._start_with_file()
        await self._changes.went_live(None, self._live, of_file=self._pin is None and not self._restored)

    async def _start_with_file(self) -> None:
        try:
            checked = await self._outside.with_fetched(await self._read_at_start())
            await self._begin_beside(checked)
            await self._admit(checked)
        except InvalidConfig as error:
            if not await self._restored_instead(error):
                self._changes.refused(map(str, error.errors), of_file=True)
                raise

    async def run(self) -> None:
        """Hears what consumers say of what was published, and where endpoints went, forever."""
        while True:
            found = await self._news.get()
            async with self._busy:
                before = self._live
                await self._guarded(self._happened(found), self._origin(found))
                await self._changes.went_live(before, self._live, of_file=False)

    async def reload(self) -> None:
        """Makes the file's configuration live if it is good; keeps the last good one if not.

        Afterwards `files` are those whose change may matter next, of the new configuration or of the rejected one.
        """
        async with self._busy:
            before = self._live
            await self._guarded(self._reload())
            await self._changes.went_live(before, self._live, of_file=True)

    async def roll_back(self, number: int | None) -> None:
        """Makes an entry of the history live until the file changes; without a number, the file. CannotRollBack.

        Who asks may go away meanwhile: what was begun is done.
        """
        task = asyncio.create_task(self._release() if number is None else self._roll_back_to(number))
        self._rollbacks.add(task)
        task.add_done_callback(self._rollbacks.discard)
        await asyncio.shield(task)

    async def _release(self) -> None:
        async with self._busy:
            await self._let_go("asked to")
            await self._guarded(self._reload())

    async def _roll_back_to(self, number: int) -> None:
        async with self._busy:
            checked = await self._entry(number)
            pin = await self._past.pin(number, self._clock.now())  # first: what is held stays in the history
            try:
                await self._admit(checked, f"entry {number}", whole=True)
            except BaseException as error:
                await self._past.hold(self._pin)
                if isinstance(error, InvalidConfig):
                    raise CannotRollBack(f"entry {number} cannot be live any more: {error}") from error
                raise
            self._pin = pin
            self._errors, self._restored = {}, ""
            self._log.warning("rolled back: the file is not live until it changes", entry=number)

    async def _entry(self, number: int) -> Checked:
        try:
            return await self._past.entry(number)
        except InvalidConfig as error:
            raise CannotRollBack(f"entry {number} cannot be made any more: {error}") from error

    async def _reload(self) -> None:
        pin = self._pin
        if pin is not None and await self._past.holds(pin):
            await self._admit(await self._past.entry(pin.number), f"entry {pin.number}")
        else:
            if pin is not None:
                await self._let_go("the file has changed")
            await self._admit(await self._read_source())
            self._restored = ""
        self._errors = {}

    async def _start_pinned(self) -> bool:
        pin = self._pin = await self._record.pinned()
        if pin is None:
            return False
        if not await self._past.holds(pin):
            await self._let_go("the file has changed")
            return False
        try:
            await self._admit(await self._past.entry(pin.number), f"entry {pin.number}")
        except (InvalidConfig, CannotRollBack) as error:
            await self._let_go(f"it cannot be made any more: {error}")
            return False
        self._log.warning("rolled back: the file is not live until it changes", entry=pin.number)
        return True

    async def _begin_beside(self, checked: Checked) -> None:
        """Envoys run what was last good: its clusters stay for a while, and it is what is gone back to."""
        good = await self._past.last_good(checked)
        if good is None:
            return
        try:
            candidate = await self._gate.admitted(good, None)
        except (InvalidConfig, StoreUnusable) as fault:
            self._log.error("the last good configuration is not good any more", reason=str(fault))
            return
        unheard = {item.name: None for item in good.gateway.upstreams if item.kubernetes is not None}
        self._before = Published(located(candidate, unheard), candidate, None)
        self._published = (self._before,)
        self._publisher.begin_beside(self._before.release)

    async def _restored_instead(self, error: InvalidConfig) -> bool:
        """Makes the last good configuration live where the file is broken."""
        good = await self._past.last_good()
        if good is None:
            return False
        try:
            await self._admit(good, "the last good configuration")
        except InvalidConfig as fault:
            self._log.error("the last good configuration is not good any more", reason=str(fault))
            return False
        self._rejected(error)
        self._restored = str(error.errors[0])
        self._log.error("the file is broken: started with the last good configuration", entry=self.published.number)
        return True

    async def _let_go(self, why: str) -> None:
        if self._pin is not None:
            self._log.warning("the rollback ends: the file counts again", entry=self._pin.number, reason=why)
            self._pin = None
            await self._past.hold(None)

    async def _read_source(self) -> Checked:
        return await asyncio.to_thread(self._reader.read)

    async def _read_at_start(self) -> Checked:
        """A file that our reader fails on is a broken one, and no reason not to start with the last good."""
        try:
            return await self._read_source()
        except InvalidConfig:
            raise
        except Exception as error:
            self._log.exception("the compiler failed")
            raise fault(self._reader.place, error) from error

    async def _admit(self, checked: Checked, source: str | None = None, *, whole: bool = False) -> None:
        """Publishes what may go live of a configuration; InvalidConfig where that is nothing, or not `whole`."""
        began = self._clock.monotonic()
        if self._live is not None:
            refuse_a_moved_admin_address(checked, self.current.admin_address)
        checked = await self._outside.admitted(checked)
        last = self._live or self._before
        candidate = await self._gate.admitted(checked, None if last is None else last.candidate)
        if whole:
            refuse_a_part(candidate)
        await self._publish(candidate, source or self.source, began)

    async def _publish(self, candidate: Candidate, source: str, began: float) -> None:
        before = self._live
        release = await self._outside.located(candidate)
        is_new = before is None or release != before.release
        if is_new:
            self._publisher.publish(release)
            self._since, self._is_taken = self._clock.now(), False
        inputs, held = candidate.checked.loaded.inputs, tuple(map(str, candidate.held))
        result = result_of(candidate) if self._is_taken else Result.SENT
        number = await self._record.accepted(source, inputs, result, held)
        self._is_live(Published(release if is_new or before is None else before.release, candidate, number))
        self.files = candidate.checked.loaded.files
        await self._outside.follow(candidate)
        self._metrics.held_back.tell(candidate.held)
        for item in candidate.held:
            self._log.error("held back", error=str(item))
        if is_new:
            await self._went_live(candidate.checked, began)

    async def _went_live(self, checked: Checked, began: float) -> None:
        took = self._clock.monotonic() - began
        self._metrics.loads.labels("live").inc()
        self._metrics.compiled.observe(took)
        self._metrics.certificates.tell(checked.gateway.listeners)
        routes = len(checked.gateway.routes)
        self._log.info("configuration live", file=self.source, routes=routes, seconds=round(took, 3))
        for warning in await asyncio.to_thread(checked.warnings, self._clock.now()):
            self._log.warning(warning)

    def _is_live(self, published: Published) -> None:
        self._live = published
        self._published = (*self._published[1 - REMEMBERED :], published)

    async def _happened(self, found: Happening) -> None:
        if isinstance(found, Outcome):
            await self._hear(found)
        elif isinstance(found, EndpointsMoved):
            await self._move()
        else:
            await self._renew(self._origin(found))

    def _origin(self, found: Happening) -> Origin:
        """What a configuration came from of which it is heard."""
        if not isinstance(found, Outcome):
            return ORIGINS.get(type(found), Origin.FILE)
        judged = self._of(found.release)
        if judged is None or self._renewed is None or self._renewed[0] is not judged.candidate:
            return Origin.FILE
        return self._renewed[1]

    async def _renew(self, origin: Origin) -> None:
        """What is live, with the keys and the models that others publish now; whatever the file says meanwhile."""
        live = self.current
        checked = await self._outside.with_current(live)
        if checked is not live:
            await self._admit(checked, None if self._pin is None else f"entry {self._pin.number}")
            self._renewed = self.published.candidate, origin
        self._errors.pop(origin, None)

    async def _move(self) -> None:
        """The same configuration, where its endpoints are now."""
        candidate = self.published.candidate
        release = self._outside.moved(candidate)
        if release != self.published.release:
            self._publisher.publish(release)
            self._is_live(Published(release, candidate, self.published.number))

    async def _hear(self, outcome: Outcome) -> None:
        """What consumers say of a release is kept; what all of them refuse is held back."""
        found = self._of(outcome.release)
        if found is None:
            return
        if found.number is not None:
            await self._record.judged(found.number, nodes_say(outcome))
        if not outcome.refused:
            await self._stands(found, outcome)
        elif outcome.instead is not outcome.release and found is self._live:
            await self._without_refused(found, outcome)

    async def _stands(self, found: Published, outcome: Outcome) -> None:
        if not any(verdict.cluster == ENVOY_NODE_CLUSTER and verdict.accepts for verdict in outcome.verdicts):
            return
        self._is_taken = self._is_taken or found is self._live
        if found.number is not None:
            inputs, held = found.candidate.checked.loaded.inputs, tuple(map(str, found.candidate.held))
            await self._record.decided(found.number, inputs, result_of(found.candidate), held)

    async def _without_refused(self, refused: Published, outcome: Outcome) -> None:
        instead = None if outcome.instead is None else self._of(outcome.instead)
        self._live = instead or refused
        last = None if instead is None else instead.candidate
        began = self._clock.monotonic()
        try:
            candidate = await self._gate.without_refused(outcome, refused.candidate, last)
            if self._pin is not None:
                refuse_a_part(candidate)  # a rollback is live as it was, or not at all
            await self._publish(candidate, self.source, began)
        except InvalidConfig:
            if refused.number is not None:
                await self._record.decided(refused.number, refused.candidate.checked.loaded.inputs, Result.REFUSED, ())
            await self._let_go("it is refused")
            await self._outside.go_back(self.published.candidate)
            await self._move()
            raise

    def _of(self, release: Release) -> Published | None:
        return next((item for item in reversed(self._published) if item.release is release), None)

    async def _guarded(self, work: Awaitable[None], origin: Origin = Origin.FILE) -> None:
        """A configuration that cannot go live costs itself, and a fault of ours in one costs that one."""
        try:
            await work
        except (InvalidConfig, CannotRollBack) as error:
            found = error if isinstance(error, InvalidConfig) else whole_file(self._reader.place, str(error))
            self._rejected(found, origin)
        except Exception as error:  # noqa: BLE001 - the outermost edge: the live configuration goes on
            self._log.exception("the compiler failed")
            self._rejected(fault(self._reader.place, error), origin)

    def _rejected(self, error: InvalidConfig, origin: Origin = Origin.FILE) -> None:
        if origin is Origin.FILE:
            self.files = {**self.current.loaded.files, **error.files}
        self._errors[origin] = tuple(map(str, error.errors))
        for text in self._errors[origin]:
            self._log.error("configuration rejected, the last good one stays live", error=text)
        self._metrics.loads.labels("rejected").inc()
        self._changes.refused(self._errors[origin], of_file=origin is Origin.FILE)

    def _is_valid(self) -> float:
        status = self.status
        return float(self._live is not None and not (status.errors or status.held or status.rolled_back))
