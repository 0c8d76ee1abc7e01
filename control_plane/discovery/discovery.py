"""The models that upstreams list: those of the live configuration, and of one that is about to be live.

What an upstream has listed is there while it answers, and for its grace after that; then it is withdrawn, until the
upstream answers again. `changed` hears of each of these.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control_plane.config.discovered import Found
from control_plane.discovery.described import discovered_model
from control_plane.discovery.listing import Listing
from control_plane.discovery.sources import ModelSource
from control_plane.discovery.states import BackendState, is_present, state_of, trouble, why_not_ready
from control_plane.polling.follower import Follower, Polling
from control_plane.polling.followers import FIRST_ANSWERS, Followers
from control_plane.polling.kept import KeptAnswers
from service_kit.clock import Clock
from service_kit.log import Logger

Sources = Collection[ModelSource]
Ask = Callable[[ModelSource, Listing | None], Awaitable[Listing]]
# Seconds between two looks whether a grace has ended, or an upstream is back.
LOOK: Final = 1.0


class DiscoveredModels(Collector):
    """Follows the upstreams; `run` does the work. Also tells the figures of each."""

    def __init__(
        self,
        ask: Ask,
        kept: KeptAnswers[Listing],
        *,
        clock: Clock,
        log: Logger,
        registry: CollectorRegistry,
        random: Callable[[], float],
        changed: Callable[[], None],
        look: float = LOOK,
    ) -> None:
        self._clock = clock
        self._log = log
        self._changed = changed
        self._look = look
        self._chosen: tuple[ModelSource, ...] = ()
        self._present: frozenset[ModelSource] = frozenset()
        self._followers = Followers(
            Polling[ModelSource, Listing](
                what="list of models",
                fetch=ask,
                kept=kept,
                bound=lambda source: log.bind(upstream=source.upstream),
                changed=changed,
                clock=clock,
                random=random,
            ),
            lacks=lambda item: not is_present(item, clock.now()),
        )
        registry.register(self)

    def found(self) -> Found:
        """The models of the sources that were chosen last, by upstream; none of one whose models are not there."""
        now = self._clock.now()
        return {
            source.upstream: tuple(map(discovered_model, kept.found.models))
            if (item := self._followers.all.get(source)) and is_present(item, now) and (kept := item.kept)
            else ()
            for source in self._chosen
        }

    def choose(self, sources: Sources) -> None:
        """From now on, the models of these are told: a configuration may name the upstreams of another differently."""
        self._chosen = tuple(sources)

    async def prepare(self, sources: Sources, *, seconds: float = FIRST_ANSWERS) -> None:
        """Follows these too; returns once each of them has models or was tried, or after so many seconds."""
        await self._followers.prepare(sources, seconds=seconds)

    async def follow(self, sources: Sources) -> None:
        """Follows these and no others, from now on."""
        await self._followers.follow(sources)
        self.choose(sources)
        self._present = self._now_present()

    async def run(self) -> None:
        """Asks, forever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._followers.run())
            tasks.create_task(self._watch())

    def states(self) -> tuple[BackendState, ...]:
        """How the upstreams of the live configuration stand, by name."""
        now = self._clock.now()
        return tuple(state_of(item, now) for item in self._live())

    def troubles(self) -> Iterator[str]:
        """What is not as it should be, in sentences."""
        return (text for state in self.states() if (text := trouble(state)) is not None)

    def unready(self) -> Iterator[str]:
        """Why the gateway is not ready, in sentences without secrets."""
        return (text for state in self.states() if (text := why_not_ready(state)) is not None)

    async def _watch(self) -> None:
        """Tells when models are withdrawn for the time that has passed, and when they are there again."""
        while True:
            await asyncio.sleep(self._look)
            present = self._now_present()
            if present == self._present:
                continue
            for source in present - self._present:
                self._log.info("models are there", upstream=source.upstream)
            for source in self._present - present:
                self._log.warning("models are withdrawn: the upstream does not answer", upstream=source.upstream)
            self._present = present
            self._changed()

    def _now_present(self) -> frozenset[ModelSource]:
        now = self._clock.now()
        return frozenset(item.source for item in self._live() if is_present(item, now))

    def _live(self) -> Iterator[Follower[ModelSource, Listing]]:
        for source in sorted(self._followers.live, key=lambda item: item.upstream):
            yield self._followers.all[source]

    def collect(self) -> Iterator[Metric]:
        """The figures by upstream."""
        labels, now = ["upstream"], self._clock.now()
        up = GaugeMetricFamily("tollgate_discovery_up", "1 while the upstream says which models it has", None, labels)
        models = GaugeMetricFamily("tollgate_discovery_models", "Models that the gateway has of it", None, labels)
        age = GaugeMetricFamily("tollgate_discovery_age_seconds", "Since it last answered", None, labels)
        fetches = CounterMetricFamily("tollgate_discovery_fetches", "Times that it was asked", None, labels)
        failures = CounterMetricFamily("tollgate_discovery_failures", "Times that it did not answer", None, labels)
        for item in self._live():
            label, kept = [item.source.upstream], item.kept
            up.add_metric(label, float(item.answers))
            models.add_metric(label, len(state_of(item, now).present))
            fetches.add_metric(label, item.fetches)
            failures.add_metric(label, item.failed)
            if kept is not None:
                age.add_metric(label, now - kept.at)
        yield from (up, models, age, fetches, failures)
