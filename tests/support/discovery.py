"""Lists of models without a network, for tests of what is made of them."""

import asyncio
from collections.abc import Iterable, Mapping

from control_plane.discovery.listing import Listing, listing
from control_plane.discovery.sources import ModelSource
from control_plane.polling.answers import Unavailable
from llm_providers.models import Listed, Model


class Upstreams:
    """Stands where the network is: the models of each upstream, of which others do not answer; all wait for `held`."""

    def __init__(self, listed: Mapping[str, Iterable[str]] | None = None) -> None:
        self.listed = {name: list(models) for name, models in (listed or {}).items()}
        self.asked: list[str] = []
        self.held = asyncio.Event()
        self.held.set()

    async def ask(self, of: ModelSource, _before: Listing | None) -> Listing:
        self.asked.append(of.upstream)
        await self.held.wait()
        if of.upstream not in self.listed:
            raise Unavailable("nobody answers")
        return listing(Listed(tuple(map(Model, self.listed[of.upstream]))))
