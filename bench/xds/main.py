"""`python -m bench.xds`: measures, prints its tables, and writes them and the figures where they are wanted."""

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from bench.command import RESULTS, add_outputs, carried_out, facts, put_out, tell
from bench.machine import load_average
from bench.xds.effort import QUICK, USUAL, Effort
from bench.xds.report import as_json, as_markdown
from bench.xds.results import measured
from service_kit.clock import SystemClock

NAME = "xds"
FIGURES = RESULTS / "latest-xds.json"
# What can be said otherwise: numbers.
SAID = tuple(field.name for field in fields(Effort) if field.type is int)


def main() -> None:
    """Exits with 0 and figures, or with 1 and the reason why there are none."""
    carried_out(run, parsed)


def run(options: argparse.Namespace, argv: Sequence[str]) -> None:
    """Measures and writes."""
    clock = SystemClock()
    started = load_average()
    results = measured(effort(options), clock, tell)
    made_with = facts("make bench-xds", argv, started, clock)
    put_out(options, NAME, figures=as_json(results, made_with), tables=as_markdown(results, made_with))


def effort(options: argparse.Namespace) -> Effort:
    """The usual one or the quick one, with whatever is said otherwise."""
    said: dict[str, Any] = {
        name: getattr(options, name) for name in SAID if getattr(options, name) is not None
    }  # Any: of all fields
    return replace(QUICK if options.quick else USUAL, **said)


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options; exits with the usage where they are wrong."""
    parser = argparse.ArgumentParser(prog="make bench-xds", description="What a change costs, from file to last ACK.")
    parser.add_argument("--quick", action="store_true", help="a look in a minute; figures that nobody should quote")
    add_outputs(parser, FIGURES)
    for name in SAID:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"usually {getattr(USUAL, name)}")
    return parser.parse_args(argv)
