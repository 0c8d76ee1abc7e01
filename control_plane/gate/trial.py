"""Whether a gateway could be served: what our own check of the snapshot says of it, and the real Envoy where it is."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from control_plane.consistency import InconsistentSnapshot
from control_plane.envoy_check import TIMEOUT, envoy_verdict
from control_plane.gate.bisect import culprits
from control_plane.gate.parts import LISTENERS, ROUTES, UPSTREAMS, Blame, Part
from control_plane.ir.model import Gateway
from control_plane.ir.part import changed, named_upstreams, part
from control_plane.snapshot import Snapshot
from service_kit.clock import Clock

NOTHING: frozenset[str] = frozenset()
# Seconds for all questions about one configuration together: no other is judged meanwhile.
BUDGET: Final = 60.0


class OutOfTime(Exception):  # noqa: N818 - nobody is at fault
    """Envoy was asked about one configuration for as long as that may take, and there are questions left."""

    def __init__(self) -> None:
        super().__init__(f"asking Envoy about it took longer than {BUDGET:.0f} s")


class Trial:
    """Asks about gateways that nobody is served; `snapshot` makes what an Envoy would be told of one.

    Each method may end in OutOfTime, BUDGET seconds after the latest `begin`.
    """

    def __init__(self, snapshot: Callable[[Gateway], Snapshot], envoy: Path | None, clock: Clock) -> None:
        self._snapshot = snapshot
        self._envoy = envoy
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Another configuration is to be asked about."""
        self._until = self._clock.monotonic() + BUDGET

    async def refusal_of_edit(self, new: Gateway, last: Gateway | None) -> str | None:
        """Why what is new in the gateway is refused, None where it is not; only that is looked at."""
        if last is None:
            return await self.refusal(new)
        found = changed(new, last)
        if not (found.routes or found.upstreams or found.listeners or found.shared):
            return None
        return await self.refusal(part(new, found.routes, found.upstreams))

    async def refusal(self, gateway: Gateway) -> str | None:
        """Why this gateway is refused; None where it is not."""
        try:
            snapshot = await asyncio.to_thread(self._snapshot, gateway)
        except InconsistentSnapshot as error:
            return f"the compiler made an inconsistent snapshot, please report it: {error}"
        if self._envoy is None:
            return None
        seconds = min(TIMEOUT, self._until - self._clock.monotonic())
        if seconds <= 0:
            raise OutOfTime
        verdict = await envoy_verdict(snapshot, self._envoy, seconds)
        if verdict.late and seconds < TIMEOUT:
            raise OutOfTime
        return None if verdict.accepted else f"Envoy refuses it: {verdict.reason}"

    async def culprits(self, new: Gateway, last: Gateway | None) -> Blame:
        """The parts of an edit that are refused by themselves, with the reasons; empty where none is.

        Listeners first, then upstreams, then routes: each is tried on what was found good before it.
        """
        inquiry = _Inquiry(self, new, last)
        if await self.refusal(inquiry.base) is not None:
            return {}  # what did not change is refused: the fault is not in the edit, or is shared by all of it
        return {**await inquiry.listeners(), **await inquiry.upstreams(), **await inquiry.routes()}


class _Inquiry:
    """One search; `base` grows by what was found good: at first it has what did not change, without routes."""

    def __init__(self, trial: Trial, new: Gateway, last: Gateway | None) -> None:
        self._trial = trial
        self._new = new
        old = last or replace(new, routes=(), upstreams=(), listeners=())
        self._changed = changed(new, old)
        self._bad: dict[Part, str] = {}
        unchanged = tuple(item for item in new.listeners if item.name not in self._changed.listeners)
        self.base = replace(part(new, NOTHING, NOTHING), listeners=unchanged or old.listeners)

    async def listeners(self) -> Blame:
        suspects = tuple(item for item in self._new.listeners if item.name in self._changed.listeners)
        by_name = {item.name: item for item in suspects}

        async def ask(some: Sequence[str]) -> str | None:
            return await self._trial.refusal(replace(self.base, listeners=tuple(by_name[name] for name in some)))

        found = self._found(LISTENERS, await culprits(tuple(by_name), ask))
        good = tuple(item for item in suspects if Part(LISTENERS, item.name) not in found)
        self.base = replace(self.base, listeners=self.base.listeners or good)
        return found

    async def upstreams(self) -> Blame:
        suspects = [item.name for item in self._new.upstreams if item.name in self._changed.upstreams]
        return self._found(UPSTREAMS, await culprits(suspects, self._asked_upstreams))

    async def routes(self) -> Blame:
        suspects = [
            item.name
            for item in self._new.routes
            if item.name in self._changed.routes and not self._needs_bad(named_upstreams(item))
        ]
        return self._found(ROUTES, await culprits(suspects, self._asked_routes))

    async def _asked_upstreams(self, some: Sequence[str]) -> str | None:
        return await self._refusal_of(NOTHING, frozenset(some))

    async def _asked_routes(self, some: Sequence[str]) -> str | None:
        return await self._refusal_of(frozenset(some), NOTHING)

    async def _refusal_of(self, routes: frozenset[str], upstreams: frozenset[str]) -> str | None:
        return await self._trial.refusal(replace(part(self._new, routes, upstreams), listeners=self.base.listeners))

    def _needs_bad(self, upstreams: frozenset[str]) -> bool:
        return any(Part(UPSTREAMS, name) in self._bad for name in upstreams)

    def _found(self, kind: str, reasons: dict[str, str]) -> Blame:
        found = {Part(kind, name): reason for name, reason in reasons.items()}
        self._bad |= found
        return found
