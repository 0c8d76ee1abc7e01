"""`python -m bench`: runs a suite, prints its tables, and writes them and the figures where they are wanted."""

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace

from bench.command import RESULTS, add_outputs, carried_out, facts, put_out, tell
from bench.machine import load_average
from bench.measure import measured
from bench.report import as_json, as_markdown
from bench.suite import QUICK, USUAL, Effort
from bench.suites import SUITES
from service_kit.clock import SystemClock

LATEST = RESULTS / "latest.json"


def main() -> None:
    """Exits with 0 and figures, or with 1 and the reason why there are none."""
    carried_out(run, parsed)


def run(options: argparse.Namespace, argv: Sequence[str]) -> None:
    """Measures and writes."""
    clock = SystemClock()
    started = load_average()
    results = measured(SUITES[options.suite], effort(options), clock, tell)
    made_with = facts("make bench", argv, started, clock)
    put_out(options, options.suite, figures=as_json(results, made_with), tables=as_markdown(results, made_with))


def effort(options: argparse.Namespace) -> Effort:
    """The usual one or the quick one, with whatever is said otherwise."""
    base = QUICK if options.quick else USUAL
    said = {field.name: getattr(options, field.name) for field in fields(Effort)}
    return replace(base, **{name: value for name, value in said.items() if value is not None})


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options; exits with the usage where they are wrong."""
    parser = argparse.ArgumentParser(prog="make bench", description="What a request costs, side by side.")
    parser.add_argument("suite", nargs="?", default="gateway", choices=sorted(SUITES))
    parser.add_argument(
        "--quick", action="store_true", help="a look in half a minute; figures that nobody should quote"
    )
    add_outputs(parser, LATEST)
    for field in fields(Effort):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(getattr(USUAL, field.name)), help=f"usually {getattr(USUAL, field.name)}")
    return parser.parse_args(argv)
