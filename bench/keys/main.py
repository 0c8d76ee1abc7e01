"""`python -m bench.keys`: measures, prints its tables, and writes them and the figures where they are wanted."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.keys.effort import QUICK, USUAL
from bench.keys.report import as_json, as_markdown
from bench.keys.results import measured
from bench.load import LoadFailed
from bench.machine import load_average, machine
from bench.main import LATEST, stop, tell
from bench.report import kept
from service_kit.clock import SystemClock
from service_kit.settings import environment
from tollgate_cli.supervisor.envoy import envoy_binary

NAME = "keys"
FIGURES = LATEST.with_name("latest-keys.json")


def main() -> None:
    """Exits with 0 and figures, or with 1 and the reason why there are none."""
    options = parsed(sys.argv[1:])
    signal.signal(signal.SIGTERM, stop)  # so that nothing that was started is left
    try:
        run(options, sys.argv[1:])
    except LoadFailed as error:
        raise SystemExit(f"error: {error}") from error


def run(options: argparse.Namespace, argv: Sequence[str]) -> None:
    """Measures and writes."""
    started = load_average()
    results = measured(QUICK if options.quick else USUAL, tell)
    facts = {
        "command": " ".join(["make bench-keys", *([f"ARGS={' '.join(argv)!r}"] if argv else [])]),
        **machine(envoy_binary(environment()), SystemClock()),
        "load average": f"{started} before, {load_average()} after",
    }
    page = as_markdown(results, facts)
    kept(NAME, page, as_json(results, facts), figures=options.json, markdown=options.markdown)
    print(page, end="")


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options; exits with the usage where they are wrong."""
    parser = argparse.ArgumentParser(prog="make bench-keys", description="What many API keys cost.")
    parser.add_argument("--quick", action="store_true", help="a look in seconds; figures that nobody should quote")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where all figures go (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, help="a page whose marked block, or all of it, becomes these tables")
    return parser.parse_args(argv)
