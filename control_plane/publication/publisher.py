"""The order in which a change reaches its consumers, so that no request meets a half of it.

A policy reaches the services before a route that needs it reaches Envoy, and leaves them after it; a cluster likewise
(make before break). Waiting is bounded and only for those who are connected: one that hangs delays nobody for long.

A release that a whole group of consumers refuses is taken back at once, however late the word comes: who connects next
gets the last one that nobody refused. Nothing that was refused is offered again unless somebody publishes it again.
"""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

from control_plane.publication.outcome import NodeRefusal, Outcome, judged_by, refused_by_all, refused_names
from control_plane.server.ads import Ads
from control_plane.server.left import RETURN_SECONDS
from control_plane.server.status import NodeVerdict
from control_plane.server.types import ENVOYS, REFERRED_TYPES, SERVICES
from control_plane.snapshot import EMPTY, Release, Snapshot, snapshot
from service_kit.clock import Clock
from service_kit.log import Logger
from service_kit.race import first_ended

SERVICES_SECONDS = 1.0
ENVOYS_SECONDS = 2.0
# In which the services of a gateway that starts as a whole are there: until then they decide by what they kept.
START_SECONDS = 3.0
# Longer than a request can wait between its route's match and its upstream: two services, a second each at most.
LINGER_SECONDS = 3.0
# Late verdicts that come together are looked at together.
LATE_SECONDS = 0.05
# So many releases that nobody refused are kept to go back to.
KEPT = 4


Key = tuple[str, str]  # type URL and name


@dataclass
class _Live:
    """A release that is served: whether it stood, whether any Envoy ever ran it, and the verdicts that were told."""

    release: Release
    stood: bool = False
    proven: bool = False
    verdicts: frozenset[tuple[str, ...]] | None = None


def _nobody(_outcome: Outcome) -> None:
    """Listens to no outcome."""


class Publisher:
    """Takes releases at any time and rolls out the latest; `run` does the work and tells `judged` how each fared.

    The first release waits `start` seconds at most for services to come, before any Envoy is offered it.
    """

    def __init__(
        self,
        ads: Ads,
        clock: Clock,
        log: Logger,
        *,
        linger: float = LINGER_SECONDS,
        start: float = 0.0,
        judged: Callable[[Outcome], None] = _nobody,
    ) -> None:
        self._ads = ads
        self._clock = clock
        self._log = log
        self._linger = linger
        self._start = start
        self._tell = judged
        self._wanted: Release | None = None
        self._served = Release(EMPTY, EMPTY)
        self._earlier: Release | None = None  # what consumers may run from before this process began
        self._live: _Live | None = None  # the release whose verdicts are heard, in time or late
        self._good: tuple[_Live, ...] = ()  # those before it that nobody refused; the last one is next
        self._movement = ads.movement()
        self._unused_since: dict[Key, float] = {}  # what is served beside it, for requests that are on their way
        self._news = asyncio.Event()
        self._done = asyncio.Event()

    def begin_beside(self, earlier: Release) -> None:
        """Before the first release: consumers may run this one, and need its clusters until they have come back.

        It is also what is gone back to where they all refuse the first.
        """
        self._earlier = earlier
        self._good = (_Live(earlier, stood=True, proven=True),)

    def publish(self, release: Release) -> None:
        """Makes this the release to roll out; one that is under way gives up its waits."""
        self._wanted = release
        self._done.clear()
        self._news.set()

    async def published(self) -> None:
        """Returns when every connected consumer was offered the latest release; what leaves may linger."""
        await self._done.wait()

    async def run(self) -> None:
        """Rolls out releases, hears late verdicts and removes what has lingered long enough, forever."""
        while True:
            await self._news_or_work()
            if self._news.is_set() and self._wanted is not None:
                self._news.clear()
                await self._roll_out(self._wanted)
            else:
                await self._hear()
            if not self._news.is_set():  # else this release is abandoned, and what it brought may be in use
                self._remove_unused()
                self._done.set()

    async def _news_or_work(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds_to_next_removal()):
                await first_ended(self._newer(), self._late_verdict())

    async def _late_verdict(self) -> None:
        await self._movement.wait()
        await asyncio.sleep(LATE_SECONDS)

    def _seconds_to_next_removal(self) -> float | None:
        if not self._unused_since:
            return None
        return max(0.0, min(self._unused_since.values()) + self._linger - self._clock.monotonic())

    async def _roll_out(self, wanted: Release) -> None:
        before = self._served
        beside = self._earlier if self._earlier is not None and before.envoy is EMPTY else before
        self._last_word()
        self._serve(Release(before.envoy, union(beside.policies, wanted.policies)))
        if before.policies is EMPTY:
            await self._services_came(wanted)
        if not await self._judged(SERVICES.cluster, SERVICES_SECONDS):
            return
        if refused := self._refused(SERVICES.cluster, self._served.policies):
            self._withdraw(wanted, before, refused)
            return
        self._serve(Release(with_referred(wanted.envoy, beside.envoy), self._served.policies))
        self._succeed(wanted)
        if not await self._judged(ENVOYS.cluster, ENVOYS_SECONDS):
            return
        self._unused_from_now_on()
        await self._hear()

    async def _services_came(self, wanted: Release) -> None:
        """Services that start with Envoy have policies of an earlier run: these are replaced before it gets routes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._start):
                asked = self._ads.asked(SERVICES.cluster, wanted.policies.resources.keys())
                await first_ended(asked, self._newer())

    def _last_word(self) -> None:
        """Hears what was said of the live release since, before another one takes its place."""
        if self._live is not None and self._live.stood:
            self._live.stood = not self._refusals()
            if self._live.stood:
                self._stands(self._live)

    def _succeed(self, wanted: Release) -> None:
        """The release before it is one to go back to, where it was heard that nobody refuses it."""
        if self._live is not None and self._live.release == wanted:
            return
        if self._live is not None and self._live.stood:
            self._good = _kept((*self._good, self._live))
        self._live = _Live(wanted)

    async def _hear(self) -> None:
        """Takes the verdicts on what is live; goes back, step by step, from what is refused."""
        self._movement = self._ads.movement()
        while (live := self._live) is not None:
            refused = self._refusals()
            live.stood = not refused
            if live.stood:
                self._stands(live)
                return
            if not self._good and live.proven:
                self._report(live, Outcome(live.release, self._verdicts(), refused, live.release))
                return
            if not await self._go_back(live, refused):
                return

    def _stands(self, live: _Live) -> None:
        envoys = self._ads.verdicts(ENVOYS.cluster)
        live.proven = live.proven or any(verdict.settled and not verdict.refusals for verdict in envoys)
        self._report(live, Outcome(live.release, self._verdicts()))

    def _report(self, live: _Live, outcome: Outcome) -> None:
        """Tells what was not told before; that somebody has left is not a verdict."""
        judged = judged_by(outcome.verdicts)
        if live.verdicts is not None and judged <= live.verdicts:
            return
        live.verdicts = judged | (live.verdicts or frozenset())
        if outcome.refused:
            self._log_refused(outcome.refused)
        self._tell(outcome)

    async def _go_back(self, live: _Live, refused: Sequence[NodeRefusal]) -> bool:
        """Serves the release before; False where there is none, or a newer one has come meanwhile."""
        verdicts, served = self._verdicts(), self._served
        self._live = self._good[-1] if self._good else None
        self._good = self._good[:-1]
        self._log_refused(refused)
        self._unused_since.clear()
        if self._live is None:
            # Who comes new gets nothing rather than this; who has run something longer than we live keeps it.
            self._ads.withhold(ENVOYS.cluster)
            self._served = Release(EMPTY, served.policies)
            self._tell(Outcome(live.release, verdicts, tuple(refused)))
            return False
        good = self._live.release
        rest = _without(served, {(it.refusal.type_url, name) for it in refused for name in refused_names(it.refusal)})
        self._serve(Release(with_referred(good.envoy, rest.envoy), union(rest.policies, good.policies)))
        self._tell(Outcome(live.release, verdicts, tuple(refused), good))
        if not await self._judged(ENVOYS.cluster, ENVOYS_SECONDS):
            return False
        self._unused_from_now_on()
        return True

    def _unused_from_now_on(self) -> None:
        """What is served beside the live release may go when no request can be on its way to it any more."""
        if self._live is not None:
            now = self._clock.monotonic()
            unused = _keys(self._served) - _keys(self._live.release)
            since = dict.fromkeys(unused, now)
            if self._earlier is not None:
                late = now + max(0.0, RETURN_SECONDS - self._linger)
                since.update(dict.fromkeys(unused & _keys(self._earlier), late))
                self._earlier = None
            self._unused_since = {key: self._unused_since.get(key, at) for key, at in since.items()}

    def _withdraw(self, wanted: Release, before: Release, refused: tuple[NodeRefusal, ...]) -> None:
        """Routes of a release whose policies are refused would be judged by the old ones: none of it goes live."""
        verdicts = self._verdicts()
        self._log_refused(refused)
        if before.policies is not EMPTY:  # at the first release there is nothing to go back to
            self._serve(before)
        self._tell(Outcome(wanted, verdicts, refused, None if self._live is None else self._live.release))

    def _log_refused(self, refused: Sequence[NodeRefusal]) -> None:
        for item in refused:
            self._log.error("configuration refused by all who judged it", reason=str(item))

    def _refusals(self) -> tuple[NodeRefusal, ...]:
        envoys = self._refused(ENVOYS.cluster, self._served.envoy)
        return (*envoys, *self._refused(SERVICES.cluster, self._served.policies))

    def _refused(self, cluster: str, served: Snapshot) -> tuple[NodeRefusal, ...]:
        """What is refused by all of a group of these consumers."""
        verdicts = self._ads.verdicts(cluster)
        if not any(verdict.refusals for verdict in verdicts):
            return ()
        asked: dict[str, set[str]] = {}
        for status in self._ads.statuses():
            if status.cluster == cluster:
                asked.setdefault(status.node, set()).update(status.types)
        return refused_by_all(verdicts, asked, served)

    def _verdicts(self) -> tuple[NodeVerdict, ...]:
        return (*self._ads.verdicts(ENVOYS.cluster), *self._ads.verdicts(SERVICES.cluster))

    def _remove_unused(self) -> None:
        if not self._unused_since or self._live is None:
            return
        limit = self._clock.monotonic() - self._linger
        self._unused_since = {key: since for key, since in self._unused_since.items() if since > limit}
        kept = _keys(self._live.release) | self._unused_since.keys()
        self._serve(Release(_only(self._served.envoy, kept), _only(self._served.policies, kept)))

    def _serve(self, release: Release) -> None:
        if _differs(release.policies, self._served.policies):
            self._ads.set_snapshot(SERVICES.cluster, release.policies)
        if _differs(release.envoy, self._served.envoy):
            self._ads.set_snapshot(ENVOYS.cluster, release.envoy)
        self._served = release

    async def _judged(self, cluster: str, seconds: float) -> bool:
        """Waits for the group's verdicts, `seconds` at most; False where a newer release has come meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await first_ended(self._ads.settled(cluster), self._newer())
        return not self._news.is_set()

    async def _newer(self) -> None:
        await self._news.wait()


def _kept(good: tuple[_Live, ...]) -> tuple[_Live, ...]:
    """The latest, among them one that somebody ran where there is any."""
    older, recent = good[: 1 - KEPT], good[1 - KEPT :]
    return (*[item for item in older if item.proven][-1:], *recent)


def _differs(new: Snapshot, old: Snapshot) -> bool:
    """Whether there is something to serve; before the first release there is not, which is not the same as nothing."""
    return new is not old and (old is EMPTY or new != old)


def union(old: Snapshot, new: Snapshot) -> Snapshot:
    """Every resource of both; the new content where both have the name."""
    return _merged(old, new, old.resources.keys())


def with_referred(new: Snapshot, old: Snapshot) -> Snapshot:
    """The new snapshot, and the old one's clusters, endpoints and secrets beside the new ones."""
    return _merged(old, new, REFERRED_TYPES & old.resources.keys())


def _merged(old: Snapshot, new: Snapshot, kept_types: AbstractSet[str]) -> Snapshot:
    """Where a type of the new one lacks nothing, its mapping is the new one's own: it is compared by identity."""
    merged = dict(new.resources)
    for type_url in kept_types:
        kept, named = old.of(type_url), new.of(type_url)
        if not kept.keys() <= named.keys():
            merged[type_url] = MappingProxyType({**kept, **named})
    return Snapshot(MappingProxyType(merged))


def _keys(release: Release) -> AbstractSet[Key]:
    return {
        (type_url, name)
        for held in (release.envoy, release.policies)
        for type_url, named in held.resources.items()
        for name in named
    }


def _without(release: Release, gone: AbstractSet[Key]) -> Release:
    kept = _keys(release) - gone
    return Release(_only(release.envoy, kept), _only(release.policies, kept))


def _only(held: Snapshot, keys: AbstractSet[Key]) -> Snapshot:
    return snapshot(
        item for type_url, named in held.resources.items() for name, item in named.items() if (type_url, name) in keys
    ).sharing(held)
