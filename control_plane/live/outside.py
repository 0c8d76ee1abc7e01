"""What is beside a configuration while it is live: where endpoints are, keys of issuers, models, stored identities.

None of it is in the file, and each goes on by itself: what is about to be live is prepared, what is live is followed.
"""

import asyncio
from dataclasses import dataclass

from control_plane.checked import Checked
from control_plane.config.key_sets import key_sources
from control_plane.discovery.discovery import DiscoveredModels
from control_plane.discovery.sources import model_sources
from control_plane.endpoints.overlay import with_endpoints
from control_plane.endpoints.slices import Moving
from control_plane.endpoints.watcher import EndpointWatcher
from control_plane.gate.candidate import Candidate
from control_plane.key_sets.fetched import FetchedKeySets
from control_plane.keys.stored import StoredIdentities
from control_plane.live.refusals import refuse
from control_plane.reader import Reader
from control_plane.snapshot import Release


@dataclass(frozen=True)
class Outside:
    """Endpoints, key sets, models and stored identities, as those need them who make configurations live."""

    reader: Reader
    endpoints: EndpointWatcher
    key_sets: FetchedKeySets
    models: DiscoveredModels
    stored: StoredIdentities

    async def admitted(self, checked: Checked) -> Checked:
        """The configuration with what it needs from outside; InvalidConfig where it cannot be beside what is stored."""
        refuse(await self.stored.prepare(checked.loaded.config), checked)
        return await self.with_fetched(checked)

    async def with_fetched(self, checked: Checked) -> Checked:
        """The configuration with the keys and the models that others publish, as far as they answer in time."""
        await asyncio.gather(
            self.key_sets.prepare(key_sources(checked.loaded.config)), self.models.prepare(model_sources(checked))
        )
        return await self.with_current(checked)

    async def with_current(self, checked: Checked) -> Checked:
        """The same with what was published last; itself where that is the same."""
        self.models.choose(model_sources(checked))
        return await asyncio.to_thread(self.reader.with_current, checked)

    async def located(self, candidate: Candidate) -> Release:
        """The release of what goes live, with the endpoints that others tell; they are followed from now on."""
        await self.endpoints.prepare(candidate.gateway.upstreams)
        return located(candidate, self.endpoints.watch(candidate.gateway.upstreams))

    def moved(self, candidate: Candidate) -> Release:
        """The release of what is live, where its endpoints are now."""
        return located(candidate, self.endpoints.current())

    async def follow(self, candidate: Candidate) -> None:
        """The candidate is live."""
        source = candidate.checked.loaded.config
        await self.key_sets.follow(key_sources(source))
        await self.models.follow(model_sources(candidate.checked))
        self.stored.follow(source)
        self.stored.vouch(candidate.gateway)

    async def go_back(self, candidate: Candidate) -> None:
        """The candidate is live again, in place of what was followed since."""
        self.endpoints.watch(candidate.gateway.upstreams)
        await self.follow(candidate)


def located(candidate: Candidate, moving: Moving) -> Release:
    """The candidate's release with the endpoints that others tell."""
    return Release(with_endpoints(candidate.release.envoy, moving), candidate.release.policies)
