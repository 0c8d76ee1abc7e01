"""A run as tables for people and as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.figures import figure, percentile
from bench.keys.results import Results, Sized
from bench.machine import described
from bench.report import MIB, MICROSECONDS, MILLISECONDS, spread, table

MEDIAN, RARE = 50, 99


def as_markdown(results: Results, facts: Mapping[str, str]) -> str:
    """The tables of a run, and with what they were made."""
    effort = results.effort
    blocks = (
        "## Keys that are made at run time",
        f"`{facts['command']}`.",
        f"What a start costs: medians, with the least and the most of {effort.starts} new processes",
        _table(
            ("control plane reads them, s", "its memory for them, MiB", "authorizer reads them, s", "its memory, MiB"),
            results,
            _start,
        ),
        f"A whole decision on an API key, us: medians, with the least and the most of {effort.starts} processes",
        _table(("decision",), results, _decision),
        f"A change until it is on the disk and served, ms ({effort.changes} of each)",
        _table(("made, median", "made, p99", "revoked, median", "revoked, p99"), results, _changed),
        f"A change until {effort.services} authorizers decide by it, have it on their disks and say so, ms",
        _table(
            ("made, median", "made, p99", "revoked, median", "revoked, p99", "all keys to new ones, s"), results, _told
        ),
        described({name: text for name, text in facts.items() if name != "command"}) + ".",
    )
    return "\n\n".join(blocks) + "\n"


def as_json(results: Results, facts: Mapping[str, str]) -> str:
    """All that was seen, every sample of it."""
    return json.dumps({"facts": dict(facts), **asdict(results)}, indent=2) + "\n"


def _table(columns: Sequence[str], results: Results, cells: Any) -> str:  # Any: one of the functions below
    rows = ([f"{sized.keys:,} keys", *cells(sized)] for sized in results.sizes)
    return table(["", *columns], rows)


def _start(sized: Sized) -> list[str]:
    cells = ((sized.stores, "seconds", 1.0), (sized.stores, "bytes", 1 / MIB))
    more = ((sized.authorizers, "seconds", 1.0), (sized.authorizers, "bytes", 1 / MIB))
    return [spread(figure(sample[key] for sample in samples), scale, 2) for samples, key, scale in (*cells, *more)]


def _decision(sized: Sized) -> list[str]:
    return [spread(figure(sample["decision"] for sample in sized.authorizers), MICROSECONDS, 1)]


def _changed(sized: Sized) -> list[str]:
    return _percentiles(sized.changes)


def _told(sized: Sized) -> list[str]:
    return [*_percentiles(sized.told), f"{sized.told['begun']:.1f}"]


def _percentiles(samples: Mapping[str, Any]) -> list[str]:
    return [
        f"{percentile(samples[kind], rank) * MILLISECONDS:.1f}"
        for kind in ("created", "revoked")
        for rank in (MEDIAN, RARE)
    ]
