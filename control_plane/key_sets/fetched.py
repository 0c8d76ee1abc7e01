"""All key sets that the live configuration wants fetched, and those of one that is about to be live."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control_plane.config.key_sets import KeySets, KeySource
from control_plane.key_sets.documents import Documents
from control_plane.key_sets.follower import Follower
from control_plane.key_sets.kept import KeptSets
from service_kit.clock import Clock
from service_kit.log import Logger
from service_kit.strict_json import strict_object

# Seconds that a configuration waits for the first sets of new issuers; it goes live without them then.
FIRST_SETS: Final = 3.0

Sources = Collection[KeySource]


class FetchedKeySets(Collector):
    """Follows the sources of the live configuration; `run` does the work. Also tells the figures of each."""

    def __init__(
        self,
        documents: Documents,
        kept_sets: KeptSets,
        *,
        clock: Clock,
        log: Logger,
        registry: CollectorRegistry,
        random: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._documents = documents
        self._kept_sets = kept_sets
        self._clock = clock
        self._log = log
        self._random = random
        self._changed = changed
        self._live: frozenset[KeySource] = frozenset()
        self._followers: dict[KeySource, Follower] = {}
        self._rearranged = asyncio.Event()
        registry.register(self)

    def sets(self) -> KeySets:
        """The last good set of each source that is followed."""
        return {source.name: item.kept.keys for source, item in self._followers.items() if item.kept is not None}

    def lacking(self) -> tuple[str, ...]:
        """The live issuers of which no set was ever there."""
        return tuple(sorted(source.issuer for source in self._live if self._followers[source].kept is None))

    def troubles(self) -> Iterator[str]:
        """What is not as it should be, in sentences."""
        for source in sorted(self._live, key=lambda item: item.issuer):
            item = self._followers[source]
            if item.kept is None:
                yield f"{source.issuer}: its keys were not fetched yet, its tokens are answered 503: {item.reason}"
            elif item.failures:
                age = self._clock.now() - item.kept.fetched_at
                yield f"{source.issuer}: its keys are {age:.0f} s old, {item.failures} fetches failed: {item.reason}"

    async def prepare(self, sources: Sources, *, seconds: float = FIRST_SETS) -> None:
        """Follows these too; returns once each of them has a set or was tried, or after so many seconds."""
        await self._follow({*self._live, *sources})
        waits = [item.tried.wait() for source in sources if (item := self._followers[source]).kept is None]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*waits)

    async def follow(self, sources: Sources) -> None:
        """Follows these and no others, from now on."""
        await self._follow(sources)
        self._live = frozenset(sources)  # not before: what is live is followed, whoever looks meanwhile

    async def refresh(self, issuer: str) -> bool:
        """Fetches the set of an issuer now, or soon after the last time; whether another one is on its way."""
        found = next((self._followers[source] for source in self._live if source.issuer == issuer), None)
        return found is not None and await found.refresh()

    async def run(self) -> None:
        """Fetches, forever."""
        running: dict[Follower, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._rearranged.clear()
                wanted = set(self._followers.values())
                for item in running.keys() - wanted:
                    running.pop(item).cancel()
                for item in wanted - running.keys():
                    running[item] = tasks.create_task(item.run())
                await self._rearranged.wait()

    async def _follow(self, sources: Collection[KeySource]) -> None:
        fresh = {source: self._follower(source) for source in sources if source not in self._followers}
        before = {item.source.name: item.kept for item in self._followers.values() if item.kept is not None}
        for item in fresh.values():
            item.kept = before.get(item.source.name) or await asyncio.to_thread(item.restored)
        known = {**self._followers, **fresh}
        self._followers = {source: known[source] for source in sources}
        self._rearranged.set()

    def _follower(self, source: KeySource) -> Follower:
        return Follower(
            source,
            self._documents,
            self._kept_sets,
            clock=self._clock,
            log=self._log,
            random=self._random,
            changed=self._changed,
        )

    def collect(self) -> Iterator[Metric]:
        """The figures by issuer."""
        age = GaugeMetricFamily(
            "tollgate_key_set_age_seconds", "Since the issuer's keys were last fetched", labels=["issuer"]
        )
        keys = GaugeMetricFamily("tollgate_key_set_keys", "Keys of the issuer", labels=["issuer"])
        fetches = CounterMetricFamily("tollgate_key_set_fetches", "Fetches of the issuer's keys", labels=["issuer"])
        failures = CounterMetricFamily(
            "tollgate_key_set_fetch_failures", "Fetches of the issuer's keys that failed", labels=["issuer"]
        )
        for source, item in self._followers.items():
            label = [source.issuer]
            keys.add_metric(label, 0 if item.kept is None else _count(item.kept.keys))
            fetches.add_metric(label, item.fetches)
            failures.add_metric(label, item.failed)
            if item.kept is not None:
                age.add_metric(label, self._clock.now() - item.kept.fetched_at)
        yield from (age, keys, fetches, failures)


def _count(keys: bytes) -> int:
    found = strict_object(keys.decode())["keys"]
    return len(found) if isinstance(found, list) else 0
