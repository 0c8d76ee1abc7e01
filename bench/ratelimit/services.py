"""The services of a run, each a process of its own, and the store that they share."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import running_process
from bench.ratelimit.variants import POLICIES, SWAP_IN_RULES, of_route
from bench.ratelimit.wire import ONE, answered
from ratelimit_service.main import NAME
from service_kit.clock import SystemClock
from tests.support.eventually import until
from tests.support.limiters import LimiterProcess, limiters, serves
from tests.support.valkey import StoreServer, valkey_server

# As `tollgate run` has it (docs/store.md).
SETTINGS = {"--appendfsync": "no"}


@dataclass(frozen=True)
class Ground:
    """A folder, a store, and services by name."""

    folder: Path
    store: StoreServer
    services: Mapping[str, LimiterProcess]


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Everything runs at the same time; what is not asked takes nothing."""
    with ExitStack() as stack:
        store = stack.enter_context(valkey_server(folder, settings=SETTINGS))
        (limits,) = stack.enter_context(limiters(folder, store.address, POLICIES))
        swap_in = stack.enter_context(_swap_in(folder, store))
        empty = stack.enter_context(_empty(folder, limits))
        yield Ground(folder, store, {"limits": limits, "swap-in": swap_in, "empty": empty})


@contextmanager
def _swap_in(folder: Path, store: StoreServer) -> Iterator[LimiterProcess]:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "bench.yaml").write_text(SWAP_IN_RULES, encoding="utf-8")
    target = f"unix:{folder / 'swap-in.sock'}"
    arguments = ("--config", str(rules), "--listen", target, "--store", store.address, "--log-level", "error")
    with _serving(target, NAME, *arguments) as process:
        yield process


@contextmanager
def _empty(folder: Path, limits: LimiterProcess) -> Iterator[LimiterProcess]:
    """It answers as the limiter answered a call of one rule."""
    (answer,) = answered(limits.path, of_route("one")(1, ""), ONE, SystemClock()).bodies
    target = f"unix:{folder / 'empty.sock'}"
    with _serving(target, "bench.empty_handler", "limiter", target, answer.hex()) as process:
        yield process


@contextmanager
def _serving(target: str, module: str, *arguments: str) -> Iterator[LimiterProcess]:
    with running_process((sys.executable, "-m", module, *arguments)) as pid:
        until(lambda: serves(target))
        yield LimiterProcess(pid, target)
