"""`python -m bench.ratelimit`: measures, prints its tables, and writes them and the figures where they are wanted."""

import argparse
from collections.abc import Sequence

from bench.command import RESULTS, add_outputs, carried_out, facts, put_out, tell
from bench.machine import load_average
from bench.ratelimit.effort import QUICK, USUAL
from bench.ratelimit.report import as_json, as_markdown
from bench.ratelimit.results import measured
from service_kit.clock import SystemClock

NAME = "ratelimit"
FIGURES = RESULTS / "latest-ratelimit.json"


def main() -> None:
    """Exits with 0 and figures, or with 1 and the reason why there are none."""
    carried_out(run, parsed)


def run(options: argparse.Namespace, argv: Sequence[str]) -> None:
    """Measures and writes."""
    started, clock = load_average(), SystemClock()
    results = measured(QUICK if options.quick else USUAL, clock, tell)
    made_with = facts("make bench-ratelimit", argv, started, clock)
    put_out(options, NAME, figures=as_json(results, made_with), tables=as_markdown(results, made_with))


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options; exits with the usage where they are wrong."""
    parser = argparse.ArgumentParser(prog="make bench-ratelimit", description="What limits and quotas cost.")
    parser.add_argument("--quick", action="store_true", help="a look in seconds; figures that nobody should quote")
    add_outputs(parser, FIGURES)
    return parser.parse_args(argv)
