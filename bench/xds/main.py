"""`python -m bench.xds`: measures, prints its tables, and writes them and the figures where they are wanted."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bench.load import LoadFailed
from bench.machine import load_average, machine
from bench.main import LATEST, stop, tell
from bench.report import kept
from bench.resources import ProcessEnded
from bench.xds.effort import QUICK, USUAL, Effort
from bench.xds.report import as_json, as_markdown
from bench.xds.results import measured
from service_kit.clock import SystemClock
from service_kit.settings import environment
from tollgate_cli.supervisor.envoy import envoy_binary

NAME = "xds"
FIGURES = LATEST.with_name("latest-xds.json")
# What can be said otherwise: numbers.
SAID = tuple(field.name for field in fields(Effort) if field.type is int)


def main() -> None:
    """Exits with 0 and figures, or with 1 and the reason why there are none."""
    options = parsed(sys.argv[1:])
    signal.signal(signal.SIGTERM, stop)  # so that nothing that was started is left
    try:
        run(options, sys.argv[1:])
    except (LoadFailed, ProcessEnded) as error:
        raise SystemExit(f"error: {error}") from error


def run(options: argparse.Namespace, argv: Sequence[str]) -> None:
    """Measures and writes."""
    clock = SystemClock()
    started = load_average()
    results = measured(effort(options), clock, tell)
    facts = {
        "command": " ".join(["make bench-xds", *([f"ARGS={' '.join(argv)!r}"] if argv else [])]),
        **machine(envoy_binary(environment()), clock),
        "load average": f"{started} before, {load_average()} after",
    }
    page = as_markdown(results, facts)
    kept(NAME, page, as_json(results, facts), figures=options.json, markdown=options.markdown)
    print(page, end="")


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
    parser.add_argument("--json", type=Path, default=FIGURES, help="where all figures go (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, help="a page whose marked block, or all of it, becomes these tables")
    for name in SAID:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"usually {getattr(USUAL, name)}")
    return parser.parse_args(argv)
