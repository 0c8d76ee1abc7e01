"""What the commands of the benches share: how they end, with what a run was made, and where its results go."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench.load import LoadFailed
from bench.machine import load_average, machine
from bench.report import inserted
from bench.resources import ProcessEnded
from service_kit.clock import Clock
from service_kit.settings import environment
from tollgate_cli.supervisor.envoy import envoy_binary

RESULTS = Path(__file__).parent / "results"
Run = Callable[[argparse.Namespace, Sequence[str]], None]


def carried_out(run: Run, parsed: Callable[[Sequence[str]], argparse.Namespace]) -> None:
    """Exits with 0 and figures, or with 1 and the reason why there are none."""
    options = parsed(sys.argv[1:])
    signal.signal(signal.SIGTERM, _stop)  # so that nothing that was started is left
    try:
        run(options, sys.argv[1:])
    except (LoadFailed, ProcessEnded) as error:
        raise SystemExit(f"error: {error}") from error


def facts(command: str, argv: Sequence[str], started: str, clock: Clock) -> dict[str, str]:
    """With what a run was made that has ended now; `started` is the load average when it began."""
    return {
        "command": " ".join([command, *([f"ARGS={' '.join(argv)!r}"] if argv else [])]),
        **machine(envoy_binary(environment()), clock),
        "load average": f"{started} before, {load_average()} after",
    }


def add_outputs(parser: argparse.ArgumentParser, figures: Path) -> None:
    """Where the figures and the tables go."""
    parser.add_argument("--json", type=Path, default=figures, help="where all figures go (default: %(default)s)")
    parser.add_argument("--markdown", type=Path, help="a page whose marked block, or all of it, becomes these tables")


def put_out(options: argparse.Namespace, suite: str, *, figures: str, tables: str) -> None:
    """Writes what a run found where the options of `add_outputs` say, and prints the tables."""
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(figures, encoding="utf-8")
    if options.markdown is not None:
        options.markdown.write_text(inserted(options.markdown, suite, tables), encoding="utf-8")
    print(tables, end="")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit("stopped")
