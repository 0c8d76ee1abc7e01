"""Documents without a network, for tests of what is made of them."""

import asyncio
from collections.abc import Mapping

from control_plane.polling.answers import Unavailable


class Published:
    """Stands where the network is: documents by URL, which a test may exchange; the others are not there."""

    def __init__(self, documents: Mapping[str, str | bytes]) -> None:
        self.documents = dict(documents)
        self.asked: list[str] = []
        self.held = asyncio.Event()  # answers wait for it
        self.held.set()
        self.broken: Exception | None = None

    async def fetch(self, url: str, *, private: bool) -> bytes:
        self.asked.append(url)
        await self.held.wait()
        if self.broken is not None:
            raise self.broken
        if url not in self.documents:
            raise Unavailable(f"{url} answers 404")
        found = self.documents[url]
        return found if isinstance(found, bytes) else found.encode()
