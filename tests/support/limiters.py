"""Rate-limit services as processes of their own, with policies from their disk, and callers that ask them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from envoy.service.ratelimit.v3 import rls_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ratelimit_service.main import NAME
from ratelimit_service.server import METHOD
from service_kit.contract import LIMIT_SET_TYPE
from service_kit.policy_cache import Held, save_policies
from tests.support.eventually import until

# The longest that a service may be told: what is proved is counting, on a machine that may be busy.
PATIENCE = "0.9"
OK = rls_pb2.RateLimitResponse.OK


@dataclass(frozen=True)
class LimiterProcess:
    """A running service, and where it answers."""

    pid: int
    target: str

    @property
    def path(self) -> Path:
        """Its socket."""
        return Path(self.target.removeprefix("unix:"))


@dataclass(frozen=True)
class Asked:
    """A call as its caller saw it: when it was sent and answered, and whether it was admitted."""

    sent: float
    answered: float
    admitted: bool


@contextmanager
def limiters(
    folder: Path, store: str, policies: Mapping[str, bytes], *, processes: int = 1
) -> Iterator[Sequence[LimiterProcess]]:
    """So many services on one store, as soon as all of them serve."""
    with ExitStack() as stack:
        started = [stack.enter_context(_started(folder / f"limiter-{n}", store, policies)) for n in range(processes)]
        for one in started:
            until(lambda one=one: serves(one.target))
        yield started


@contextmanager
def _started(folder: Path, store: str, policies: Mapping[str, bytes]) -> Iterator[LimiterProcess]:
    folder.mkdir()
    held = {name: Held("1", body) for name, body in policies.items()}
    save_policies(folder / f"{NAME}.policies", {LIMIT_SET_TYPE: held})
    target = f"unix:{folder / 'limits.sock'}"
    command = [
        sys.executable, "-m", NAME, "--listen", target, "--control-plane", f"unix:{folder / 'nobody.sock'}",
        "--store", store, "--store-timeout", PATIENCE, "--state-dir", str(folder), "--log-level", "error",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield LimiterProcess(process.pid, target)
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()


def serves(target: str) -> bool:
    """Whether a gRPC service on a socket says that it serves."""
    with grpc.insecure_channel(target) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class Callers:
    """Callers of several services, a connection to each; errors are raised."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._asked = [channel.unary_unary(METHOD) for channel in channels]

    async def ask(self, number: int, message: bytes) -> Asked:
        """One call of this caller, to the service that is its own."""
        sent = time.monotonic()
        raw = await self._asked[number % len(self._asked)](message)
        code = rls_pb2.RateLimitResponse.FromString(raw).overall_code
        return Asked(sent, time.monotonic(), code == OK)

    async def burst(self, clients: int, each: int, message: Callable[[int, int], bytes]) -> int:
        """How many calls were admitted of clients that ask at once, each so often, one call after the other."""

        async def client(number: int) -> int:
            return sum([(await self.ask(number, message(number, turn))).admitted for turn in range(each)])

        return sum(await asyncio.gather(*(client(number) for number in range(clients))))

    async def sustained(self, clients: int, seconds: float, message: bytes, *, pause: float) -> list[Asked]:
        """The calls that were admitted of clients that ask again and again, with a pause after each refusal."""
        ends, admitted = time.monotonic() + seconds, []

        async def client(number: int) -> None:
            while time.monotonic() < ends:
                asked = await self.ask(number, message)
                if asked.admitted:
                    admitted.append(asked)
                else:
                    await asyncio.sleep(pause)

        await asyncio.gather(*(client(number) for number in range(clients)))
        return admitted


@asynccontextmanager
async def callers(targets: Sequence[LimiterProcess]) -> AsyncIterator[Callers]:
    """Connected to all of them."""
    channels = [grpc.aio.insecure_channel(one.target) for one in targets]
    try:
        yield Callers(channels)
    finally:
        for channel in channels:
            await channel.close()


def most_in_a_window(admitted: Sequence[Asked], period: float) -> int:
    """The most calls that were surely counted within one period: sent after it began, answered before it ended.

    A period that has more than any other can be moved until it begins with a call.
    """
    calls = sorted(admitted, key=lambda call: call.sent)
    return max(
        (sum(call.answered < begin.sent + period for call in calls[number:]) for number, begin in enumerate(calls)),
        default=0,
    )


def steady_share(admitted: Sequence[Asked], *, limit: int, period: float) -> float:
    """What is admitted for long, as a part of the limit: all calls but the first burst, from its begin to the last."""
    first, last = (pick(call.answered for call in admitted) for pick in (min, max))
    return (len(admitted) - limit) * period / (limit * (last - first))
