"""The order in which a change reaches its consumers, so that no request meets a half of it.

A policy reaches the services before a route that needs it reaches Envoy, and leaves them after it; a cluster likewise
(make before break). Waiting is bounded and only for those who are connected: one that hangs delays nobody for long.
"""

import asyncio
from collections.abc import Set as AbstractSet
from contextlib import suppress

from control_plane.server.ads import Ads
from control_plane.server.types import ENVOYS, SERVICES
from control_plane.snapshot import EMPTY, Release, Resource, Snapshot, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, SECRET_TYPE
from service_kit.clock import Clock
from service_kit.log import Logger
from service_kit.race import first_ended

SERVICES_SECONDS = 1.0
ENVOYS_SECONDS = 2.0
# Longer than a request can wait between its route's match and its upstream: two services, a second each at most.
LINGER_SECONDS = 3.0

# What routes and listeners refer to: kept while any Envoy may still run the old ones.
REFERRED_TYPES = frozenset({SECRET_TYPE, CLUSTER_TYPE, ENDPOINTS_TYPE})


Key = tuple[str, str]  # type URL and name


class Publisher:
    """Takes releases at any time and rolls out the latest; `run` does the work."""

    def __init__(self, ads: Ads, clock: Clock, log: Logger, *, linger: float = LINGER_SECONDS) -> None:
        self._ads = ads
        self._clock = clock
        self._log = log
        self._linger = linger
        self._wanted: Release | None = None
        self._served = Release(EMPTY, EMPTY)
        self._settled = self._served  # the last release that nobody refused
        self._unused_since: dict[Key, float] = {}  # what is served beside it, for requests that are on their way
        # Why the services refuse the latest release, which therefore does not reach Envoy.
        self.refusals: tuple[str, ...] = ()
        self._news = asyncio.Event()
        self._done = asyncio.Event()

    def publish(self, envoy: Snapshot, policies: Snapshot) -> None:
        """Makes this the release to roll out; one that is under way gives up its waits."""
        self._wanted = Release(envoy, policies)
        self._done.clear()
        self._news.set()

    async def published(self) -> None:
        """Returns when every connected consumer was offered the latest release; what leaves may linger."""
        await self._done.wait()

    async def run(self) -> None:
        """Rolls out releases and removes what has lingered long enough, forever."""
        while True:
            await self._news_or_removal()
            if self._news.is_set() and self._wanted is not None:
                self._news.clear()
                await self._roll_out(self._wanted)
            if not self._news.is_set():  # else this release is abandoned, and what it brought may be in use
                self._remove_unused()
                self._done.set()

    async def _news_or_removal(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds_to_next_removal()):
                await self._news.wait()

    def _seconds_to_next_removal(self) -> float | None:
        if not self._unused_since:
            return None
        return max(0.0, min(self._unused_since.values()) + self._linger - self._clock.monotonic())

    async def _roll_out(self, wanted: Release) -> None:
        before = self._served
        self._serve(Release(before.envoy, union(before.policies, wanted.policies)))
        self.refusals = ()
        if not await self._judged(SERVICES.cluster, SERVICES_SECONDS):
            return
        if refusals := self._ads.refusals(SERVICES.cluster):
            self._withdraw(before, refusals)
            return
        self._serve(Release(with_referred(wanted.envoy, before.envoy), self._served.policies))
        if not await self._judged(ENVOYS.cluster, ENVOYS_SECONDS):
            return
        if self._ads.refused(ENVOYS.cluster):
            # An Envoy that refused goes on with what it had, which needs its clusters and policies.
            kept = self._settled
            self._unused_since.clear()
            self._serve(Release(with_referred(wanted.envoy, kept.envoy), union(kept.policies, wanted.policies)))
            return
        self._settled = wanted
        now = self._clock.monotonic()
        unused = _keys(self._served) - _keys(wanted)
        self._unused_since = {key: self._unused_since.get(key, now) for key in unused}

    def _withdraw(self, before: Release, refusals: tuple[str, ...]) -> None:
        """Routes of a release whose policies are refused would be judged by the old ones: none of it goes live."""
        self.refusals = refusals
        for reason in refusals:
            self._log.error("configuration refused by a service, the last good one stays live", reason=reason)
        if before.policies is not EMPTY:  # at the first release there is nothing to go back to
            self._serve(before)

    def _remove_unused(self) -> None:
        if not self._unused_since:
            return
        limit = self._clock.monotonic() - self._linger
        self._unused_since = {key: since for key, since in self._unused_since.items() if since > limit}
        kept = _keys(self._settled) | self._unused_since.keys()
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


def _differs(new: Snapshot, old: Snapshot) -> bool:
    """Whether there is something to serve; before the first release there is not, which is not the same as nothing."""
    return new is not old and (old is EMPTY or new != old)


def union(old: Snapshot, new: Snapshot) -> Snapshot:
    """Every resource of both; the new content where both have the name."""
    return snapshot(_merged(old, new, frozenset({*old.resources, *new.resources})))


def with_referred(new: Snapshot, old: Snapshot) -> Snapshot:
    """The new snapshot, and the old one's clusters, endpoints and secrets beside the new ones."""
    return snapshot(_merged(old, new, REFERRED_TYPES))


def _merged(old: Snapshot, new: Snapshot, kept_types: frozenset[str]) -> list[Resource]:
    merged: dict[Key, Resource] = {}
    for source, types in ((old, kept_types & old.resources.keys()), (new, new.resources.keys())):
        for type_url in types:
            merged.update({(type_url, name): item for name, item in source.of(type_url).items()})
    return list(merged.values())


def _keys(release: Release) -> AbstractSet[Key]:
    return {
        (type_url, name)
        for held in (release.envoy, release.policies)
        for type_url, named in held.resources.items()
        for name in named
    }


def _only(held: Snapshot, keys: AbstractSet[Key]) -> Snapshot:
    return snapshot(
        item for type_url, named in held.resources.items() for name, item in named.items() if (type_url, name) in keys
    )
