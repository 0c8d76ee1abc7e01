"""The order in which a change reaches its consumers, so that no request meets a half of it.

A policy reaches the services before a route that needs it reaches Envoy, and leaves them after it; a cluster likewise
(make before break). Waiting is bounded and only for those who are connected: one that hangs delays nobody for long.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from control_plane.server.ads import Ads
from control_plane.server.types import ENVOYS, SERVICES
from control_plane.snapshot import EMPTY, Resource, Snapshot, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE
from service_kit.race import first_ended

SERVICES_SECONDS = 1.0
ENVOYS_SECONDS = 2.0

# What routes and listeners refer to: kept while any Envoy may still run the old ones.
REFERRED_TYPES = frozenset({CLUSTER_TYPE, ENDPOINTS_TYPE})


@dataclass(frozen=True)
class Release:
    """What both groups of consumers are to run."""

    envoy: Snapshot
    policies: Snapshot


class Publisher:
    """Takes releases at any time and rolls out the latest; `run` does the work."""

    def __init__(self, ads: Ads) -> None:
        self._ads = ads
        self._wanted: Release | None = None
        self._served = Release(EMPTY, EMPTY)
        self._settled = self._served  # the last release that nobody refused
        self._news = asyncio.Event()
        self._done = asyncio.Event()

    def publish(self, envoy: Snapshot, policies: Snapshot) -> None:
        """Makes this the release to roll out; one that is under way gives up its waits."""
        self._wanted = Release(envoy, policies)
        self._done.clear()
        self._news.set()

    async def published(self) -> None:
        """Returns when the latest release has been rolled out."""
        await self._done.wait()

    async def run(self) -> None:
        """Rolls out releases, forever."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._wanted is not None:
                await self._roll_out(self._wanted)
            if not self._news.is_set():
                self._done.set()

    async def _roll_out(self, wanted: Release) -> None:
        before = self._served
        self._serve(Release(before.envoy, union(before.policies, wanted.policies)))
        if not await self._judged(SERVICES.cluster, SERVICES_SECONDS):
            return
        self._serve(Release(with_referred(wanted.envoy, before.envoy), self._served.policies))
        if not await self._judged(ENVOYS.cluster, ENVOYS_SECONDS):
            return
        if self._ads.refused(ENVOYS.cluster):
            # An Envoy that refused goes on with what it had, which needs its clusters and policies.
            kept = self._settled
            self._serve(
                Release(with_referred(wanted.envoy, kept.envoy), union(kept.policies, wanted.policies)),
            )
            return
        self._serve(wanted)
        self._settled = wanted

    def _serve(self, release: Release) -> None:
        if release.policies is not self._served.policies:
            self._ads.set_snapshot(SERVICES.cluster, release.policies)
        if release.envoy is not self._served.envoy:
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


def union(old: Snapshot, new: Snapshot) -> Snapshot:
    """Every resource of both; the new content where both have the name."""
    return snapshot(_merged(old, new, frozenset({*old.resources, *new.resources})))


def with_referred(new: Snapshot, old: Snapshot) -> Snapshot:
    """The new snapshot, and the old one's clusters and endpoints beside the new ones."""
    return snapshot(_merged(old, new, REFERRED_TYPES))


def _merged(old: Snapshot, new: Snapshot, kept_types: frozenset[str]) -> list[Resource]:
    merged: dict[tuple[str, str], Resource] = {}
    for source, types in ((old, kept_types & old.resources.keys()), (new, new.resources.keys())):
        for type_url in types:
            merged.update({(type_url, name): item for name, item in source.of(type_url).items()})
    return list(merged.values())
