"""All key sets that the live configuration wants fetched, and those of one that is about to be live."""

from collections.abc import Callable, Collection, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control_plane.config.key_sets import KeySets, KeySource
from control_plane.key_sets.documents import Documents
from control_plane.key_sets.fetching import fetched_key_set
from control_plane.polling.follower import Polling
from control_plane.polling.followers import FIRST_ANSWERS, Followers
from control_plane.polling.kept import KeptAnswers
from service_kit.clock import Clock
from service_kit.log import Logger
from service_kit.strict_json import strict_object

Sources = Collection[KeySource]


class FetchedKeySets(Collector):
    """Follows the sources of the live configuration; `run` does the work. Also tells the figures of each."""

    def __init__(
        self,
        documents: Documents,
        kept_sets: KeptAnswers[bytes],
        *,
        clock: Clock,
        log: Logger,
        registry: CollectorRegistry,
        random: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._followers = Followers(
            Polling[KeySource, bytes](
                what="key set",
                fetch=lambda source, _: fetched_key_set(source, documents),
                kept=kept_sets,
                bound=lambda source: log.bind(issuer=source.issuer),
                changed=changed,
                clock=clock,
                random=random,
            )
        )
        registry.register(self)

    def sets(self) -> KeySets:
        """The last good set of each source that is followed."""
        return {source.name: item.kept.found for source, item in self._followers.all.items() if item.kept is not None}

    def lacking(self) -> tuple[str, ...]:
        """The live issuers of which no set was ever there."""
        followers = self._followers
        return tuple(sorted(source.issuer for source in followers.live if followers.all[source].kept is None))

    def troubles(self) -> Iterator[str]:
        """What is not as it should be, in sentences."""
        for source in sorted(self._followers.live, key=lambda item: item.issuer):
            item = self._followers.all[source]
            if item.kept is None:
                yield f"{source.issuer}: its keys were not fetched yet, its tokens are answered 503: {item.reason}"
            elif item.failures:
                age = self._clock.now() - item.kept.at
                yield f"{source.issuer}: its keys are {age:.0f} s old, {item.failures} fetches failed: {item.reason}"

    async def prepare(self, sources: Sources, *, seconds: float = FIRST_ANSWERS) -> None:
        """Follows these too; returns once each of them has a set or was tried, or after so many seconds."""
        await self._followers.prepare(sources, seconds=seconds)

    async def follow(self, sources: Sources) -> None:
        """Follows these and no others, from now on."""
        await self._followers.follow(sources)

    async def refresh(self, issuer: str) -> bool:
        """Fetches the set of an issuer now, or soon after the last time; whether another one is on its way."""
        followers = self._followers
        found = next((followers.all[source] for source in followers.live if source.issuer == issuer), None)
        return found is not None and await found.refresh()

    async def run(self) -> None:
        """Fetches, forever."""
        await self._followers.run()

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
        for source, item in self._followers.all.items():
            label = [source.issuer]
            keys.add_metric(label, 0 if item.kept is None else _count(item.kept.found))
            fetches.add_metric(label, item.fetches)
            failures.add_metric(label, item.failed)
            if item.kept is not None:
                age.add_metric(label, self._clock.now() - item.kept.at)
        yield from (age, keys, fetches, failures)


def _count(keys: bytes) -> int:
    found = strict_object(keys.decode())["keys"]
    return len(found) if isinstance(found, list) else 0
