"""The history as the control plane keeps it: off its loop, and never in its way.

A history that cannot be read or written costs what it is for, which is going back; configurations go live without it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Gauge

from control_plane.config.inputs import Inputs
from control_plane.history.database import HistoryUnavailable
from control_plane.history.entries import Entry, Pin, Result
from control_plane.history.history import History
from service_kit.log import Logger

Answer = TypeVar("Answer")
# What one node says of a configuration: its name, whether it runs it, and why not.
NodeSays = tuple[str, bool, str]


class Record:
    """Writes down what goes live and how it fares; without an answer where the history has none."""

    def __init__(self, history: History, *, log: Logger, registry: CollectorRegistry) -> None:
        self._history = history
        self._log = log
        self._available = Gauge(
            "tollgate_config_history_available", "1 while accepted configurations are kept", registry=registry
        )
        self._available.set(1)
        self._reason = ""

    async def accepted(self, source: str, inputs: Inputs, result: Result, held: Sequence[str]) -> int | None:
        """The number of the entry; None where it cannot be kept."""
        return await self._asked(lambda: self._history.accepted(source, inputs, inputs.digest, result, held))

    async def judged(self, number: int, verdicts: Iterable[NodeSays]) -> None:
        told = tuple(verdicts)
        await self._asked(lambda: self._history.all_judged(number, told))

    async def decided(self, number: int, inputs: Inputs, result: Result, held: Sequence[str]) -> None:
        await self._asked(lambda: self._history.decided(number, inputs, result, held))

    async def texts(self, number: int) -> Mapping[str, bytes] | None:
        """The files of an entry by name; None where there is no such entry."""
        return await self._asked(lambda: self._history.texts(number))

    async def last_good(self) -> Inputs | None:
        return await self._asked(self._history.last_good)

    async def pinned(self) -> Pin | None:
        return await self._asked(self._history.pinned)

    async def pin(self, number: int | None, source_digest: str = "") -> bool:
        """Holds an entry, or lets go of it; False where that cannot be kept."""

        def kept() -> bool:
            self._history.pin(number, source_digest)
            return True

        return await self._asked(kept) is True

    async def entries(self, limit: int) -> tuple[Entry, ...]:
        """The newest, the newest first."""
        return await self._asked(lambda: self._history.entries(limit)) or ()

    @property
    def reason(self) -> str:
        """Why there is no history at the moment; empty where there is."""
        return self._reason

    async def _asked(self, question: Callable[[], Answer]) -> Answer | None:
        try:
            answer = await asyncio.to_thread(question)
        except HistoryUnavailable as error:
            if str(error) != self._reason:
                self._log.warning("the history of configurations is not available", reason=str(error))
            self._reason = str(error)
            self._available.set(0)
            return None
        self._reason = ""
        self._available.set(1)
        return answer
