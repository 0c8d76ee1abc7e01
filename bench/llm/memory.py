"""What very many streams leave in the memory of a gateway: the native path alone, looked at from time to time."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.llm.effort import CHUNKS, Kind
from bench.llm.ground import Ground
from bench.llm.loads import called, wait_until_it_serves
from bench.llm.variants import Variant
from bench.machine import described
from bench.report import MIB, table
from bench.resources import Memory, memory_of
from service_kit.clock import Clock

# Looks, evenly over all streams: growth is what came between the first and the last of them.
LOOKS = 10
CONNECTIONS = 32
MINUTE = 60.0


@dataclass(frozen=True)
class Look:
    """Memory by process after so many streams."""

    streams: int
    seconds: float
    memory: Mapping[str, Memory]


@dataclass(frozen=True)
class Grown:
    """All looks; fewer than were wanted where there was no more time."""

    wanted: int
    looks: Sequence[Look]


def grown(
    ground: Ground, variant: Variant, streams: int, minutes: float, clock: Clock, tell: Callable[[str], None]
) -> Grown:
    """The looks at a variant; LoadFailed where one stream failed."""
    looks: list[Look] = []
    with variant.start(ground) as running:
        wait_until_it_serves(variant, running, clock)
        start = clock.monotonic()
        some = Kind(max(1, streams // LOOKS), CONNECTIONS)
        while len(looks) < LOOKS and clock.monotonic() - start < minutes * MINUTE:
            called(variant, running, some, clock, keeps=False)
            done = some.calls * (len(looks) + 1)
            looks.append(Look(done, clock.monotonic() - start, memory_of(running.processes)))
            tell(f"{done:,} streams after {looks[-1].seconds:.0f} s")
    return Grown(streams, looks)


def as_markdown(found: Grown, facts: Mapping[str, str]) -> str:
    """The table of a run, and with what it was made."""
    first, last = found.looks[0], found.looks[-1]
    blocks = (
        "## What streams leave in memory",
        _how(found, facts["command"]),
        _table(found, first, last),
        described({name: text for name, text in facts.items() if name != "command"}) + ".",
    )
    return "\n\n".join(blocks) + "\n"


def as_json(found: Grown, facts: Mapping[str, str]) -> str:
    """Every look."""
    return json.dumps({"facts": dict(facts), **asdict(found)}, indent=2) + "\n"


def _how(found: Grown, command: str) -> str:
    last = found.looks[-1]
    cut = "" if len(found.looks) == LOOKS else f" Of {found.wanted:,} that were wanted: there was no more time."
    return (
        f"`{command}`: {last.streams:,} streams of {CHUNKS} chunks through `native`, {CONNECTIONS} at a time, in"
        f" {last.seconds / MINUTE:.0f} minutes.{cut} Resident memory, MiB."
    )


def _table(found: Grown, first: Look, last: Look) -> str:
    names = list(last.memory)

    def row(title: str, memory: Mapping[str, float], form: str) -> list[str]:
        sizes = [sum(memory.values()), *(memory[name] for name in names)]
        return [title, *(format(size / MIB, form) for size in sizes)]

    rows = [row(f"{look.streams:,} streams", _rss(look), ".1f") for look in found.looks]
    grown_by = {name: _rss(last)[name] - _rss(first)[name] for name in names}
    return table(["", "all", *names], [*rows, row("from the first to the last", grown_by, "+.1f")])


def _rss(look: Look) -> dict[str, float]:
    return {name: float(memory.rss) for name, memory in look.memory.items()}
