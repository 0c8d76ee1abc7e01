"""A run as tables for people and as JSON for programs: what was to be reached, ratios, and what they are made of."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from enum import Enum
from statistics import median

from bench.figures import Figure, figure, percentile, ratio
from bench.machine import described
from bench.report import MIB, MILLISECONDS, spread, table
from bench.xds.acknowledged import Acknowledged
from bench.xds.corpus import Edit
from bench.xds.crowd import Fanned
from bench.xds.goals import goals
from bench.xds.results import SHARED, Edited, Results, Spread

# Steps of an edit by their key, as a reader knows them.
STEPS = {"noticed": "noticed", "read": "read and checked", "compiled": "compiled", "accepted": "Envoy's validator"}
ROUTES, POLICIES = "RouteConfiguration", "LimitSet"


def as_markdown(results: Results, facts: Mapping[str, str]) -> str:
    """The tables of a run, and with what they were made."""
    effort = results.effort
    blocks = (
        "## From the file to the last ACK",
        f"`{facts['command']}`. Medians, with the least and the most of all samples.",
        _goals_table(results),
        f"Cold compile in a new process, files to checked release: s, and bytes that it makes ({effort.cold} samples)",
        _cold_table(results),
        f"One edit of a route, from the file renamed into place to the real Envoy's ACK, ms ({effort.edits} edits)",
        _edited_table(results),
        "Until the push, step by step, of as many other edits without an Envoy beside them, ms",
        _steps_table(results),
        "Bytes pushed to a client by an edit; Envoy's are what passed between the real one and the control plane",
        _bytes_table(results),
        f"One edit of one file to the last client's ACK ({effort.fanned} edits; clients on the same two cores)",
        _spread_table(results),
        _endured(results),
        _endured_table(results),
        described({name: text for name, text in facts.items() if name != "command"}) + ".",
    )
    return "\n\n".join(blocks) + "\n"


def as_json(results: Results, facts: Mapping[str, str]) -> str:
    """All that was seen, every sample of it."""
    return json.dumps({"facts": dict(facts), **asdict(results)}, indent=2, default=_plain) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{value!r} is no JSON")


def _goals_table(results: Results) -> str:
    rows = (
        [goal.what, f"{goal.limit:g} {goal.unit}", f"{goal.measured:.2f} {goal.unit}", "yes" if goal.met else "**no**"]
        for goal in goals(results)
    )
    return table(["to be reached", "below", "median", "reached"], rows)


def _cold_table(results: Results) -> str:
    rows = (
        [
            str(item.shape),
            spread(ratio(item.compiled, item.read), 1, 2),
            spread(figure(item.compiled), 1, 2),
            spread(figure(item.read), 1, 2),
            f"{item.sizes[ROUTES]:,}",
            f"{item.sizes.get(POLICIES, 0):,}",
        ]
        for item in results.cold
    )
    return table(["", "x reading the YAML in C", "compile", "reading", "routes", "limits"], rows)


def _edited_table(results: Results) -> str:
    rows = (
        [
            str(item.shape),
            spread(ratio(_each(item, lambda seen: seen.total), _each(item, lambda seen: seen.envoy)), 1, 2),
            *_percentiles(_each(item, lambda seen: seen.total)),
            *(spread(figure(_each(item, part)), MILLISECONDS, 0) for part in PARTS.values()),
        ]
        for item in results.edited
    )
    return table(["", "x Envoy alone", "p50", "p99", *PARTS], rows)


PARTS: Mapping[str, Callable[[Acknowledged], float]] = {
    "until the push": lambda seen: seen.made,
    "on its way": lambda seen: seen.handed_on,
    "Envoy, push to ACK": lambda seen: seen.envoy,
}


def _each(item: Edited, part: Callable[[Acknowledged], float]) -> list[float]:
    return [part(seen) for seen in item.seen]


def _percentiles(values: list[float]) -> list[str]:
    return [f"{percentile(values, rank) * MILLISECONDS:.0f}" for rank in (50, 99)]


def _steps_table(results: Results) -> str:
    rows = (
        [
            str(item.shape),
            *(spread(_step(item, step), MILLISECONDS, 0) for step in STEPS),
            spread(figure(sum(seen.values()) for seen in item.steps), MILLISECONDS, 0),
        ]
        for item in results.edited
    )
    return table(["", *STEPS.values(), "together"], rows)


def _step(item: Edited, step: str) -> Figure:
    return figure(seen[step] for seen in item.steps)


def _bytes_table(results: Results) -> str:
    rows = (
        [
            str(item.shape),
            *(_size(results, item, kind, protocol) for kind in Edit for protocol in SHARED),
            *(f"{item.sizes[kind.value]:,}" for kind in Edit),
        ]
        for item in results.edited
    )
    heads = [f"{kind.value}, {protocol}" for kind in Edit for protocol in SHARED]
    return table(["", *heads, *(f"{kind.value}, Envoy" for kind in Edit)], rows)


def _size(results: Results, item: Edited, kind: Edit, protocol: str) -> str:
    found = next(
        row
        for row in results.spread
        if (row.shape, row.kind, row.protocol, row.clients) == (item.shape, kind, protocol, 1)
    )
    return f"{found.seen[-1].size:,}"


def _spread_table(results: Results) -> str:
    rows = (
        [
            str(item.shape),
            f"{item.kind.value}, {item.protocol}",
            f"{item.clients:,}",
            f"{_median(item, _total) / _median(_one(results, item), _total):.2f}",
            spread(figure(map(_total, item.seen)), 1, 2),
            f"{_median(item, lambda seen: seen.spread):.2f}",
            f"{_median(item, lambda seen: seen.size) / MIB:.1f}",
            f"{_rate(item):.0f}" if item.clients > 1 else "",
            f"{_median(item, lambda seen: seen.server_cpu):.2f}",
            f"{_median(item, lambda seen: seen.client_cpu):.2f}",
            f"{item.connected:.1f}",
            f"{item.memory / MIB:.0f}",
        ]
        for item in results.spread
    )
    head = [
        "", "edit", "clients", "x one client", "s", "after the first has it, s", "MiB pushed", "MiB/s", "CPU, s",
        "clients' CPU, s", "connected in, s", "memory, MiB",
    ]  # fmt: skip
    return table(head, rows)


def _total(seen: Fanned) -> float:
    return seen.total


def _median(item: Spread, part: Callable[[Fanned], float]) -> float:
    return median(map(part, item.seen))


def _rate(item: Spread) -> float:
    """MiB a second while it was spread."""
    return median(seen.size / seen.spread for seen in item.seen) / MIB


def _one(results: Results, item: Spread) -> Spread:
    """The same with one client."""
    same = (item.shape, item.kind, item.protocol)
    return next(row for row in results.spread if (row.shape, row.kind, row.protocol) == same and row.clients == 1)


def _endured(results: Results) -> str:
    endured = results.endured
    return (
        f"Resident memory of the control plane over {endured.edits:,} edits of {endured.shape}, one after the other in"
        f" {endured.seconds:.0f} s, with one client"
    )


def _endured_table(results: Results) -> str:
    return table(["edits", "MiB", "x the first steady one"], _endured_rows(results))


def _endured_rows(results: Results) -> Iterator[list[str]]:
    endured = results.endured
    for number, rss in enumerate(endured.rss):
        against = f"{rss / endured.steady:.2f}" if number else ""
        yield [f"{number * endured.every:,}", f"{rss / MIB:.0f}", against]
