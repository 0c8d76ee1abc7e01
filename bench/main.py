"""`python -m bench`: runs a suite, prints its tables, and writes them and the figures where they are wanted."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench.load import LoadFailed
from bench.machine import load_average, machine
from bench.measure import measured
from bench.report import as_json, as_markdown, kept
from bench.resources import ProcessEnded
from bench.suite import QUICK, USUAL, Effort
from bench.suites import SUITES
from service_kit.clock import SystemClock
from service_kit.settings import environment
from tollgate_cli.supervisor.envoy import envoy_binary

LATEST = Path(__file__).parent / "results" / "latest.json"


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
    results = measured(SUITES[options.suite], effort(options), clock, tell)
    facts = {
        "command": " ".join(["make bench", *([f"ARGS={' '.join(argv)!r}"] if argv else [])]),
        **machine(envoy_binary(environment()), clock),
        "load average": f"{started} before, {load_average()} after",
    }
    page = as_markdown(results, facts)
    kept(options.suite, page, as_json(results, facts), figures=options.json, markdown=options.markdown)
    print(page, end="")


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
    parser.add_argument("--json", type=Path, default=LATEST, help="where all figures go (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, help="a page whose marked block, or all of it, becomes these tables")
    for field in fields(Effort):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(getattr(USUAL, field.name)), help=f"usually {getattr(USUAL, field.name)}")
    return parser.parse_args(argv)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit("stopped")
