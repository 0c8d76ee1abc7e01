"""A run as tables for people and as JSON for programs: ratios to bare Envoy, taken within rounds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

from bench.figures import Figure, figure, ratio
from bench.llm.effort import AT_ONCE, CALM, CHUNKS, PACED, WHOLE, Effort
from bench.llm.loads import Cost, Measured, Results
from bench.llm.variants import BASELINE, LITELLM, NATIVE
from bench.machine import described
from bench.report import MIB, MILLISECONDS, spread, table
from tollgate_cli.supervisor.processes import ENVOY

Take = Callable[[Cost], float]
# Of CPU time: the native path in terms of bare Envoy, and LiteLLM in terms of the native path.
AT_MOST, AT_LEAST = 1.6, 25.0


def as_markdown(results: Results, facts: Mapping[str, str]) -> str:
    """The tables of a run, and with what they were made."""
    effort = results.effort
    costs = [
        (f"CPU time of a whole answer of {CHUNKS} words, ms", WHOLE),
        (f"CPU time of a stream of {CHUNKS} chunks that come {effort.paced.pause} ms apart, ms", PACED),
        (f"CPU time of a stream of {CHUNKS} chunks that come at once, ms", AT_ONCE),
    ]
    blocks = (
        "## What a call of a model costs",
        _how(effort, facts["command"]),
        "\n".join(f"- `{item.variant.name}`: {item.variant.shows}" for item in results.variants.values()),
        *(text for title, kind in costs for text in (title, _cpu_table(results, kind))),
        *(
            ["CPU time of the native path, and what is wanted of it", _wanted(results)]
            if {BASELINE, NATIVE} <= results.variants.keys()
            else []
        ),
        _seen(effort),
        _latency_table(results),
        f"As many as are answered, {effort.whole.connections} calls at a time, a second",
        _rate_table(results),
        "Resident memory after all of this and what it added, MiB; CPU time without calls, ms a second",
        _memory_table(results),
        described({name: text for name, text in facts.items() if name != "command"}) + ".",
    )
    return "\n\n".join(blocks) + "\n"


def as_json(results: Results, facts: Mapping[str, str]) -> str:
    """All that was seen, every round of it."""
    variants = {
        name: {
            "shows": item.variant.shows,
            "costs": {kind: [asdict(cost) for cost in costs] for kind, costs in item.costs.items()},
            "idle": item.idle,
            "before": {process: asdict(memory) for process, memory in item.before.items()},
            "after": {process: asdict(memory) for process, memory in item.after.items()},
        }
        for name, item in results.variants.items()
    }
    return json.dumps({"facts": dict(facts), "effort": asdict(results.effort), "variants": variants}, indent=2) + "\n"


def _how(effort: Effort, command: str) -> str:
    return (
        f"`{command}`: {effort.rounds} rounds, in each {effort.whole.calls} whole answers, {effort.at_once.calls}"
        f" streams that come at once ({effort.whole.connections} calls at a time), {effort.paced.calls} streams that"
        f" come a chunk every {effort.paced.pause} ms ({effort.paced.connections} at a time), and {effort.calm.calls}"
        f" of these in calm ({effort.calm.connections} at a time). Medians of the rounds, with the least and the most"
        " of them."
    )


def _seen(effort: Effort) -> str:
    return (
        f"What callers see, {effort.calm.connections} streams at a time, ms: from the call to the first token; of a"
        " chunk from its sending to its coming, and since the one before"
    )


def _cpu_table(results: Results, kind: str) -> str:
    served = [item for item in results.variants.values() if item.after]
    names = list(dict.fromkeys(name for item in served for name in item.after))
    rows = [
        [
            item.variant.name,
            _against(results, item, kind, _cpu),
            _in_terms_of(results, item, kind),
            spread(figure(map(_cpu, item.costs[kind])), MILLISECONDS, 2),
            *(_of_process(item, kind, name) for name in names),
        ]
        for item in served
    ]
    return table(["", f"x {BASELINE}", f"{LITELLM} / this", "all", *names], rows)


def _wanted(results: Results) -> str:
    """Of the native path: all processes, and Envoy alone, which is what answers wait for chunk by chunk."""
    native, bare = results.variants[NATIVE], results.variants[BASELINE]
    rival = results.variants.get(LITELLM)
    rows = [
        [
            kind,
            _times(native, bare, kind, _cpu),
            _times(native, bare, kind, _of_envoy),
            *([] if rival is None else [_times(rival, native, kind, _cpu)]),
        ]
        for kind in (WHOLE, PACED, AT_ONCE)
    ]
    head = ["", f"{NATIVE} x {BASELINE}", "its Envoy alone", *([] if rival is None else [f"{LITELLM} x {NATIVE}"])]
    goals = ["wanted", f"at most {AT_MOST:g}", "", *([] if rival is None else [f"at least {AT_LEAST:g}"])]
    return table(head, [*rows, goals])


def _times(item: Measured, other: Measured, kind: str, take: Take) -> str:
    return spread(ratio(map(take, item.costs[kind]), map(_cpu, other.costs[kind])), 1, 2)


def _latency_table(results: Results) -> str:
    kinds: list[tuple[str, Take]] = [
        ("first token p50", lambda cost: cost.first[50]),
        ("chunk p50", lambda cost: cost.late[50]),
        ("chunk p99", lambda cost: cost.late[99]),
        ("gap p50", lambda cost: cost.gap[50]),
        ("gap p99", lambda cost: cost.gap[99]),
    ]
    rows = [
        [
            item.variant.name,
            *(_against(results, item, CALM, take) for _, take in kinds[:2]),
            *(spread(_of(item, CALM, take), MILLISECONDS, 2) for _, take in kinds),
        ]
        for item in results.variants.values()
    ]
    return table(["", *(f"{name} x {BASELINE}" for name, _ in kinds[:2]), *(name for name, _ in kinds)], rows)


def _rate_table(results: Results) -> str:
    rows = [
        [
            item.variant.name,
            *(_against(results, item, kind, _rate) for kind in (WHOLE, AT_ONCE)),
            *(spread(_of(item, kind, _rate), 1, 0) for kind in (WHOLE, AT_ONCE)),
            spread(_of(item, AT_ONCE, _rate), CHUNKS, 0),
        ]
        for item in results.variants.values()
    ]
    head = [f"whole x {BASELINE}", f"streams x {BASELINE}", "whole answers", "streams", "chunks"]
    return table(["", *head], rows)


def _memory_table(results: Results) -> str:
    def row(item: Measured) -> list[str]:
        after, before = (sum(memory.rss for memory in found.values()) / MIB for found in (item.after, item.before))
        return [item.variant.name, f"{after:.0f} ({after - before:+.1f})", f"{item.idle * MILLISECONDS:.1f}"]

    return table(["", "memory", "idle"], [row(item) for item in results.variants.values() if item.after])


def _cpu(cost: Cost) -> float:
    return sum(cost.cpu.values())


def _of_envoy(cost: Cost) -> float:
    return cost.cpu[ENVOY]


def _rate(cost: Cost) -> float:
    return cost.rate


def _of(item: Measured, kind: str, take: Take) -> Figure:
    return figure(map(take, item.costs[kind]))


def _against(results: Results, item: Measured, kind: str, take: Take) -> str:
    """Nothing where there is nothing to compare with."""
    base = results.variants.get(BASELINE)
    return "" if base is None else spread(ratio(map(take, item.costs[kind]), map(take, base.costs[kind])), 1, 2)


def _in_terms_of(results: Results, item: Measured, kind: str) -> str:
    rival = results.variants.get(LITELLM)
    return "" if rival is None else spread(ratio(map(_cpu, rival.costs[kind]), map(_cpu, item.costs[kind])), 1, 1)


def _of_process(item: Measured, kind: str, name: str) -> str:
    """Nothing where there is no such process."""
    if name not in item.after:
        return ""
    return f"{figure(cost.cpu[name] for cost in item.costs[kind]).median * MILLISECONDS:.2f}"
