"""All that is measured, one after the other."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.ratelimit.effort import Effort
from bench.ratelimit.loads import Loads, loaded
from bench.ratelimit.memory import Kept, kept
from bench.ratelimit.races import Race, Steady, races, steady
from bench.ratelimit.services import ground
from service_kit.clock import Clock


@dataclass(frozen=True)
class Results:
    effort: Effort
    loads: Loads
    kept: list[Kept]
    races: list[Race]
    steady: Steady


def measured(effort: Effort, clock: Clock, tell: Callable[[str], None]) -> Results:
    """Everything; nothing that was started is left."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))  # short: socket paths have a limit
    try:
        with ground(folder) as services:
            loads = loaded(services, effort, clock, tell)
            tell("callers that ask at once")
            raced = races(services, effort)
            tell(f"{effort.sustained:g} s of sustained load")
            lasting = steady(services, effort)
        tell(f"the memory of {effort.keys:,} counters")
        return Results(effort, loads, kept(folder, effort), raced, lasting)
    finally:
        shutil.rmtree(folder)
