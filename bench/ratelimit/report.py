"""A run as tables for people and as JSON for programs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

from bench.figures import Figure, figure, ratio
from bench.machine import described
from bench.ratelimit.effort import Effort
from bench.ratelimit.loads import Round
from bench.ratelimit.results import Results
from bench.ratelimit.variants import BASELINE, VARIANTS
from bench.report import MIB, MICROSECONDS, MILLISECONDS, spread, table

MILLION = 1_000_000
Take = Callable[[Round], float]


def as_markdown(results: Results, facts: Mapping[str, str]) -> str:
    """The tables of a run, and with what they were made."""
    effort = results.effort
    blocks = (
        "## What a decision costs",
        _how(effort, facts["command"]),
        "\n".join(f"- `{variant.name}`: {variant.shows}" for variant in VARIANTS),
        "CPU time of a call as fast as they are answered, us, and what one core of the service could do with it",
        _cpu_table(results),
        "What the store is asked, for each call",
        _store_table(results),
        f"Latency at {effort.rate:g} calls a second from due to answered, and with {effort.in_flight} under way, ms",
        _latency_table(results),
        "What counters take in the store, by as many as were made",
        _memory_table(results),
        "Bursts into an empty window: callers at once, and what was charged beyond the limit when all had ended",
        _race_table(results),
        f"A sliding window of {results.steady.limit} calls under {results.steady.seconds:g} s of sustained load",
        _steady_table(results),
        described({name: text for name, text in facts.items() if name != "command"}) + ".",
    )
    return "\n\n".join(blocks) + "\n"


def _how(effort: Effort, command: str) -> str:
    return (
        f"`{command}`: {effort.rounds} rounds over one connection, in each {effort.busy} calls as fast as they are"
        f" answered, {effort.in_flight} of them under way, and {effort.paced} at {effort.rate:g} a second. Medians of"
        " the rounds, with the least and the most of them."
    )


def as_json(results: Results, facts: Mapping[str, str]) -> str:
    """All that was seen, every round of it."""
    return json.dumps({"facts": dict(facts), **asdict(results)}, indent=2) + "\n"


def _cpu_table(results: Results) -> str:
    calls = results.effort.busy

    def service(one: Round) -> float:
        return one.busy.service / calls

    rows = [
        [
            name,
            spread(_against(results, name, service), 1, 2),
            spread(_of(rounds, service), MICROSECONDS, 0),
            spread(_of(rounds, lambda one: one.busy.store / calls), MICROSECONDS, 0),
            spread(_of(rounds, lambda one: 1 / service(one)), 1, 0),
            spread(_of(rounds, lambda one: calls / one.busy_seconds), 1, 0),
        ]
        for name, rounds in results.loads.rounds.items()
    ]
    return table(["", f"x {BASELINE}", "service", "store", "calls a second of its core", "as seen by the caller"], rows)


def _store_table(results: Results) -> str:
    effort = results.effort
    rows = [
        [
            name,
            f"{_of(rounds, lambda one: one.busy.reads / effort.busy).median:.2f}",
            f"{_of(rounds, lambda one: one.paced.reads / effort.paced).median:.2f}",
            f"{_of(rounds, lambda one: one.busy.steps / effort.busy).median:.2f}",
            f"{_of(rounds, lambda one: one.busy.script_microseconds / max(1, one.busy.steps)).median:.1f}",
        ]
        for name, rounds in results.loads.rounds.items()
        if name != BASELINE
    ]
    busy, paced = f"round trips, {effort.in_flight} under way", f"round trips, {effort.rate:g} a second"
    return table(["", busy, paced, "scripts", "a script, us"], rows)


def _latency_table(results: Results) -> str:
    def paced(rank: int) -> Take:
        return lambda one: one.paced_latency[rank]

    def busy(rank: int) -> Take:
        return lambda one: one.busy_latency[rank]

    kinds = (("p50", paced(50)), ("p99", paced(99)), ("busy p50", busy(50)), ("busy p99", busy(99)))
    rows = [
        [
            name,
            *(spread(_against(results, name, take), 1, 2) for _, take in kinds[:2]),
            *(spread(_of(rounds, take), MILLISECONDS, 2) for _, take in kinds),
        ]
        for name, rounds in results.loads.rounds.items()
    ]
    return table(["", *(f"{kind} x {BASELINE}" for kind, _ in kinds[:2]), *(kind for kind, _ in kinds)], rows)


def _memory_table(results: Results) -> str:
    rows = [
        [kept.what, f"{kept.keys:,}", f"{kept.bytes / kept.keys:.0f}", f"{kept.bytes / kept.keys * MILLION / MIB:.0f}"]
        for kept in results.kept
    ]
    return table(["", "made", "bytes a counter", "MiB a million"], rows)


def _race_table(results: Results) -> str:
    rows = [
        [
            race.what,
            *(f"{number:,}" for number in (race.callers, race.asked, race.admitted, race.charged, race.limit)),
            f"{race.overshoot:,}",
        ]
        for race in results.races
    ]
    return table(["", "callers", "calls", "admitted", "charged", "limit", "overshoot"], rows)


def _steady_table(results: Results) -> str:
    found = results.steady
    rows = [[f"{found.most:,} of {found.limit:,}", f"{found.share:.3f}", f"{1 - found.share:.3f}"]]
    return table(["the most in any window", "admitted / limit", "shortfall"], rows)


def _of(rounds: list[Round], take: Take) -> Figure:
    return figure(map(take, rounds))


def _against(results: Results, name: str, take: Take) -> Figure:
    rounds = results.loads.rounds
    return ratio(map(take, rounds[name]), map(take, rounds[BASELINE]))
