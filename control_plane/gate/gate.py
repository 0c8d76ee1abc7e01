"""What goes live of a configuration: all of it, or all but what is refused, or nothing.

Before it is published, an edit is shown to our own check of the snapshot and to the real Envoy, where its binary is at
hand, and only what changed. Afterwards the consumers judge it themselves. What either refuses is traced to the parts of
the YAML that made it, these are held back, and the rest goes through the gate again.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from control_plane.checked import Checked
from control_plane.compile import Compiler
from control_plane.config.errors import ConfigError, InvalidConfig, Location
from control_plane.consistency import InconsistentSnapshot
from control_plane.gate.blame import all_of_the_refused_types, blamed
from control_plane.gate.candidate import Candidate, HeldBack
from control_plane.gate.parts import KINDS, Blame, Element, Part, edited, elements
from control_plane.gate.quarantine import Held, Inseparable, held_back
from control_plane.gate.trial import OutOfTime, Trial
from control_plane.ir.model import Gateway
from control_plane.publication.outcome import Outcome, told
from service_kit.clock import Clock

# Each time that a part is blamed, what is left is judged again: so often, before nothing of an edit goes live.
MOST_ATTEMPTS: Final = 3
# An edit that changes thousands of parts is not told in thousands of lines.
MOST_TOLD: Final = 20
LESS_AT_ONCE: Final = "find out why Envoy is slow or hangs here, or change less at once"


class Gate:
    """Judges one configuration at a time; `last` is always what was live before the edit, None where nothing was."""

    def __init__(self, compiler: Compiler, envoy: Path | None, place: Location, clock: Clock) -> None:
        self._compiler = compiler
        self._envoy = envoy
        self._trial = Trial(lambda gateway: compiler.trial(gateway).envoy, envoy, clock)
        self._place = place

    async def admitted(self, checked: Checked, last: Candidate | None) -> Candidate:
        """What may be published of a configuration; InvalidConfig where that is nothing.

        A first configuration is taken as a whole: there is nothing yet to fall back on.
        """
        self._compiler.check_services(checked)
        known = {} if last is None else _still_refused(checked.gateway, last.refused)
        with self._in_time(checked):
            return await self._admitted(checked, last, known, attempts=0)

    async def without_refused(self, outcome: Outcome, candidate: Candidate, last: Candidate | None) -> Candidate:
        """What may be published instead of a candidate that its consumers refused; `last` is what is served now."""
        with self._in_time(candidate.checked):
            return await self._without_refused(outcome, candidate, last)

    @contextmanager
    def _in_time(self, checked: Checked) -> Iterator[None]:
        """A configuration that cannot be judged in time is held back as a whole: others wait meanwhile."""
        self._trial.begin()
        try:
            yield
        except OutOfTime as error:
            reason = f"nothing of this change goes live: {error}, so it is not known whether it is good"
            raise self._whole(checked, reason, LESS_AT_ONCE) from error

    async def _without_refused(self, outcome: Outcome, candidate: Candidate, last: Candidate | None) -> Candidate:
        checked = candidate.checked
        now = elements(checked.gateway)
        before = {} if last is None else elements(last.gateway)
        touched = frozenset(now) if last is None else edited(candidate.gateway, last.gateway) & now.keys()
        found = blamed(outcome, touched, now, before)
        if not found and self._envoy is not None:
            found = await self._trial.culprits(candidate.gateway, None if last is None else last.gateway)
        if not found or candidate.attempts >= MOST_ATTEMPTS:
            found = all_of_the_refused_types(outcome, touched)
        if not found:
            reasons = sorted({told(item.refusal.message) for item in outcome.refused})
            raise self._whole(checked, f"it is refused by all who judged it: {'; '.join(reasons)}")
        known = {part: reason for part, (_, reason) in candidate.refused.items() if part in now}
        return await self._admitted(checked, last, {**known, **found}, attempts=candidate.attempts + 1)

    async def _admitted(self, checked: Checked, last: Candidate | None, blame: Blame, *, attempts: int) -> Candidate:
        before = None if last is None else last.gateway
        for _ in range(MOST_ATTEMPTS):
            held = self._held(checked, before, blame)
            if blame and last is not None and held.gateway == last.gateway:
                return self._candidate(checked, held, last, blame, attempts)
            found = await self._judged(checked, held, last, blame, attempts)
            if isinstance(found, Candidate):
                return found
            blame = {**blame, **await self._blamed(checked, held.gateway, before, found)}
            if before is None:
                raise self._refused(checked, blame)
        raise self._refused(checked, blame)

    async def _judged(
        self, checked: Checked, held: Held, last: Candidate | None, blame: Blame, attempts: int
    ) -> Candidate | str:
        """The candidate that serves this, or why it may not be served."""
        try:
            release = await asyncio.to_thread(self._compiler.release, held.gateway)
        except InconsistentSnapshot as error:
            return f"the compiler made an inconsistent snapshot, please report it: {error}"
        reason = await self._trial.refusal_of_edit(held.gateway, None if last is None else last.gateway)
        if reason is not None:
            return reason
        return _candidate(checked, Candidate(checked, held.gateway, release, attempts=attempts), held, blame)

    async def _blamed(self, checked: Checked, gateway: Gateway, before: Gateway | None, reason: str) -> Blame:
        found = await self._trial.culprits(gateway, before)
        if not found:
            raise self._whole(checked, reason)
        return found

    def _held(self, checked: Checked, before: Gateway | None, blame: Blame) -> Held:
        try:
            return held_back(checked.gateway, before, blame)
        except Inseparable as error:
            raise self._refused(checked, blame, str(error)) from error

    def _candidate(self, checked: Checked, held: Held, last: Candidate, blame: Blame, attempts: int) -> Candidate:
        """Nothing of the edit is left: what is live stays, and its release is the same object."""
        served = Candidate(checked, last.gateway, last.release, attempts=attempts)
        return _candidate(checked, served, held, blame)

    def _refused(self, checked: Checked, blame: Blame, why: str | None = None) -> InvalidConfig:
        """Every part that is refused at its place; of many, the first."""
        told_parts = sorted(blame.items())[:MOST_TOLD]
        errors = [
            ConfigError(checked.place(*part), (), f"{part}: {reason}", why or "correct it")
            for part, reason in told_parts
        ]
        if len(blame) > MOST_TOLD:
            errors.append(ConfigError(self._place, (), f"{len(blame) - MOST_TOLD} more parts are refused"))
        return InvalidConfig(errors, checked.loaded.files)

    def _whole(self, checked: Checked, reason: str, cure: str | None = None) -> InvalidConfig:
        return InvalidConfig([ConfigError(self._place, (), reason, cure)], checked.loaded.files)


def _candidate(checked: Checked, served: Candidate, held: Held, blame: Blame) -> Candidate:
    now = elements(checked.gateway) if blame else {}
    return Candidate(
        checked,
        served.gateway,
        served.release,
        tuple(
            HeldBack(part.kind, part.name, checked.place(*part), reason, part in held.absent)
            for part, reason in sorted(held.parts.items())
        ),
        MappingProxyType({part: (now[part], reason) for part, reason in blame.items() if part in now}),
        served.attempts,
    )


def _still_refused(gateway: Gateway, refused: Mapping[Part, tuple[Element, str]]) -> Blame:
    """What was refused and is written as it was: it is not tried again."""
    if not refused:
        return {}
    now = elements(gateway)
    return {part: reason for part, (item, reason) in refused.items() if now.get(part) == item}


class HeldBackGauge:
    """How much of the configuration is not live as written."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(
            "tollgate_config_held_back", "Parts of the configuration that are held back", ["kind"], registry=registry
        )
        self.tell(())

    def tell(self, held: Iterable[HeldBack]) -> None:
        counted = [item.kind for item in held]
        for kind in KINDS:
            self._gauge.labels(kind).set(counted.count(kind))
