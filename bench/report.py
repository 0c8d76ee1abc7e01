"""Results as tables for people and as JSON for programs: ratios first, and beside them what they are made of."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.figures import Figure, figure, ratio
from bench.machine import described
from bench.measure import PERCENTILES, Measured, Results
from bench.resources import Memory
from bench.suite import Effort

MICROSECONDS = 1e6
MILLISECONDS = 1e3
MIB = 1 << 20


def as_markdown(results: Results, facts: Mapping[str, str]) -> str:
    """The tables of a run, and with what they were made."""
    effort = results.effort
    rate = f"{effort.rate:g} requests a second"
    blocks = (
        f"## {results.suite.title}",
        _how(effort, facts["command"]),
        "\n".join(f"- `{item.variant.name}`: {item.variant.shows}" for item in results.variants.values()),
        f"CPU time of a request, us: as fast as they are answered, and at {rate}; idle between rounds, ms a second",
        _cpu_table(results),
        f"Latency at {rate} from due to answered, ms; how late it was sent; the generator's own CPU time, us",
        _latency_table(results),
        f"Resident memory after {effort.requests} requests and what they added, MiB",
        _memory_table(results),
        *([_probe_table(results)] if results.probes else []),
        described({name: text for name, text in facts.items() if name != "command"}) + ".",
    )
    return "\n\n".join(blocks) + "\n"


def _how(effort: Effort, command: str) -> str:
    return (
        f"`{command}`: {effort.rounds} rounds over {effort.connections} connections, in each {effort.busy} requests as"
        f" fast as they are answered and {effort.paced} at {effort.rate:g} a second. Medians of the rounds, with the"
        " least and the most of them."
    )


def as_json(results: Results, facts: Mapping[str, str]) -> str:
    """All that was seen, every round of it."""
    variants = {
        name: {
            "shows": item.variant.shows,
            "rounds": [asdict(round_) for round_ in item.rounds],
            "idle": dict(item.idle),
            "memory": {
                process: {"before": asdict(item.before[process]), "after": asdict(after)}
                for process, after in item.after.items()
            },
        }
        for name, item in results.variants.items()
    }
    document = {
        "suite": results.suite.name,
        "baseline": results.suite.baseline,
        "effort": asdict(results.effort),
        "facts": dict(facts),
        "variants": variants,
        "probes": {name: list(seconds) for name, seconds in results.probes.items()},
    }
    return json.dumps(document, indent=2) + "\n"


def marks(suite: str) -> tuple[str, str]:
    """What begins and what ends the tables of a suite on a page."""
    return f"<!-- bench {suite} -->\n", f"<!-- end of bench {suite} -->"


def inserted(page: Path, suite: str, text: str) -> str:
    """The page with the text between the marks of the suite; the text alone where there are none."""
    begin, end = marks(suite)
    current = page.read_text(encoding="utf-8") if page.exists() else ""
    before, found, rest = current.partition(begin)
    _, closed, after = rest.partition(end)
    return f"{before}{begin}{text}{end}{after}" if found and closed else text


def _cpu_table(results: Results) -> str:
    served = _served(results)
    names = _process_names(served)
    base_busy, base_paced = _totals(results.baseline)
    rows = []
    for item in served:
        busy, paced = _totals(item)
        rows.append(
            [
                item.variant.name,
                spread(ratio(busy, base_busy), 1, 2),
                spread(figure(busy), MICROSECONDS, 0),
                *(_median((round_.busy_cpu.get(name) for round_ in item.rounds), MICROSECONDS, 0) for name in names),
                spread(ratio(paced, base_paced), 1, 2),
                _median(paced, MICROSECONDS, 0),
                f"{sum(item.idle.values()) * MILLISECONDS:.1f}",
            ]
        )
    against, rate = f"x {results.suite.baseline}", f"at {results.effort.rate:g}/s"
    return table(["", against, "all", *names, f"{rate}: {against}", f"{rate}: all", "idle"], rows)


def _latency_table(results: Results) -> str:
    rows = [
        [
            item.variant.name,
            *(spread(ratio(_latencies(item, rank), _latencies(results.baseline, rank)), 1, 2) for rank in PERCENTILES),
            *(spread(figure(_latencies(item, rank)), MILLISECONDS, 2) for rank in PERCENTILES),
            _median((round_.lag[PERCENTILES[-1]] for round_ in item.rounds), MILLISECONDS, 2),
            _median((round_.generator_cpu for round_ in item.rounds), MICROSECONDS, 0),
        ]
        for item in results.variants.values()
    ]
    ratios = [f"p{rank} x {results.suite.baseline}" for rank in PERCENTILES]
    times = [f"p{rank}" for rank in PERCENTILES]
    return table(["", *ratios, *times, f"late p{PERCENTILES[-1]}", "generator"], rows)


def _totals(item: Measured) -> tuple[list[float], list[float]]:
    """CPU of all processes in each round, busy and paced."""
    return (
        [sum(round_.busy_cpu.values()) for round_ in item.rounds],
        [sum(round_.paced_cpu.values()) for round_ in item.rounds],
    )


def _latencies(item: Measured, rank: int) -> list[float]:
    return [round_.latency[rank] for round_ in item.rounds]


def _memory_table(results: Results) -> str:
    served = _served(results)
    names = _process_names(served)
    rows = [
        [
            item.variant.name,
            _grown(item.before.values(), item.after.values()),
            *(_grown([item.before[name]], [item.after[name]]) if name in item.after else "" for name in names),
        ]
        for item in served
    ]
    return table(["", "all", *names], rows)


def _probe_table(results: Results) -> str:
    rows = [
        [probe.name, spread(figure(results.probes[probe.name]), MILLISECONDS, 0), probe.shows]
        for probe in results.suite.probes
    ]
    return table(["", "ms", ""], rows)


def _served(results: Results) -> list[Measured]:
    """The variants that have processes to count."""
    return [item for item in results.variants.values() if item.after]


def _process_names(served: Iterable[Measured]) -> list[str]:
    return list(dict.fromkeys(name for item in served for name in item.after))


def spread(value: Figure, scale: float, digits: int) -> str:
    median, low, high = (f"{number * scale:.{digits}f}" for number in (value.median, value.low, value.high))
    return f"{median} ({low}-{high})"


def _median(values: Iterable[float | None], scale: float, digits: int) -> str:
    """Nothing where there is nothing to count."""
    found = [value for value in values if value is not None]
    return f"{figure(found).median * scale:.{digits}f}" if found else ""


def _grown(before: Iterable[Memory], after: Iterable[Memory]) -> str:
    old, new = (sum(memory.rss for memory in found) / MIB for found in (before, after))
    return f"{new:.0f} ({new - old:+.1f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
