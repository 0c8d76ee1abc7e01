"""`python -m bench.llm`: measures, prints its tables, and writes them and the figures where they are wanted."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.command import RESULTS, add_outputs, carried_out, facts, put_out, tell
from bench.llm import memory, report
from bench.llm.effort import QUICK, USUAL
from bench.llm.ground import Ground, llm_ground
from bench.llm.loads import measured
from bench.llm.memory import grown
from bench.llm.variants import NATIVE, VARIANTS, Variant
from bench.machine import load_average
from service_kit.clock import Clock, SystemClock
from service_kit.settings import environment

NAME, MEMORY = "llm", "llm-memory"
FIGURES, MEMORY_FIGURES = RESULTS / "latest-llm.json", RESULTS / "latest-llm-memory.json"
MINUTES = 45.0
CACHE = "tollgate-bench"


def main() -> None:
    """Exits with 0 and figures, or with 1 and the reason why there are none."""
    carried_out(run, parsed)


def run(options: argparse.Namespace, argv: Sequence[str]) -> None:
    """Measures and writes."""
    measure = _costs if options.streams is None else _memory
    started, clock = load_average(), SystemClock()
    with llm_ground(options.cache) as ground:
        told = measure(ground, options, clock)
    made_with = facts("make bench-llm", argv, started, clock)
    put_out(options, told.block, figures=told.figures(made_with), tables=told.tables(made_with))


@dataclass(frozen=True)
class _Told:
    """What was measured: the block of the page that it fills, and how it is written."""

    block: str
    figures: Callable[[Mapping[str, str]], str]
    tables: Callable[[Mapping[str, str]], str]


def _costs(ground: Ground, options: argparse.Namespace, clock: Clock) -> _Told:
    results = measured(ground, chosen(options), QUICK if options.quick else USUAL, clock, tell)
    return _Told(NAME, partial(report.as_json, results), partial(report.as_markdown, results))


def _memory(ground: Ground, options: argparse.Namespace, clock: Clock) -> _Told:
    native = next(variant for variant in VARIANTS if variant.name == NATIVE)
    found = grown(ground, native, options.streams, options.minutes, clock, tell)
    return _Told(MEMORY, partial(memory.as_json, found), partial(memory.as_markdown, found))


def chosen(options: argparse.Namespace) -> list[Variant]:
    """The variants of a run, in their order."""
    return [variant for variant in VARIANTS if variant.name not in options.without]


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options; exits with the usage where they are wrong."""
    names = [variant.name for variant in VARIANTS]
    parser = argparse.ArgumentParser(prog="make bench-llm", description="What calls of language models cost.")
    parser.add_argument("--quick", action="store_true", help="a look; figures that nobody should quote")
    parser.add_argument("--without", nargs="+", default=[], choices=names, metavar="VARIANT", help=f"of {names}")
    parser.add_argument("--streams", type=_some, help="so many streams through `native`, and what memory they leave")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="at most so long for --streams (default: %(default)s)"
    )
    parser.add_argument(
        "--cache", type=Path, default=_cache(), help="where LiteLLM is installed, once (default: %(default)s)"
    )
    add_outputs(parser, FIGURES)
    options = parser.parse_args(argv)
    if options.streams is not None and options.json == FIGURES:
        options.json = MEMORY_FIGURES
    return options


def _some(text: str) -> int:
    number = int(text)
    if number < memory.LOOKS:
        raise argparse.ArgumentTypeError(f"at least {memory.LOOKS}")
    return number


def _cache() -> Path:
    environ = environment()
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / CACHE
