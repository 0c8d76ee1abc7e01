"""One server of a store: steps that arrive while others are under way share its next round trip.

A round trip that takes too long is given up with all its steps; a server that failed a few times in a row rests, and
calls are answered at once meanwhile.

Errors: Unanswered - no answer, in time or at all; Redirected - another server of the cluster has the keys.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import AskError, MovedError, NoScriptError, RedisError

from ratelimit_service.addresses import HostPort
from ratelimit_service.breaker import Breaker, State
from ratelimit_service.failures import RECONNECT, FailureKind, Unanswered, unanswered
from ratelimit_service.scripts import Reply, Step
from ratelimit_service.store_watch import StoreWatch
from ratelimit_service.survey import survey
from service_kit.clock import Clock

# Steps of one round trip; a server that fell behind is asked in portions.
LARGEST_BATCH: Final = 64
# Seconds between two looks at how the server is set up.
SURVEY_EVERY: Final = 60.0

# What the client makes of one step of a pipeline.
Outcome = Reply | Exception


class Redirected(Exception):  # noqa: N818 - an answer of a cluster, not an error
    """The keys are with another server: for good, or for this step alone where it is to be asked."""

    def __init__(self, target: HostPort, *, asking: bool) -> None:
        super().__init__(str(target))
        self.target = target
        self.asking = asking


@dataclass(frozen=True, eq=False)
class _Call:
    step: Step
    asking: bool
    answer: asyncio.Future[Reply]

    def settle(self, outcome: Outcome) -> None:
        if self.answer.done():  # the caller hung up meanwhile
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class Node:
    """A server behind a client of its own."""

    def __init__(self, client: Redis, name: str, *, timeout: float, clock: Clock, watch: StoreWatch) -> None:
        self.name = name
        self._client = client
        self._timeout = timeout
        self._clock = clock
        self._watch = watch
        self._breaker = Breaker()
        self._waiting: deque[_Call] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._surveyor: asyncio.Task[None] | None = None
        self._next_survey = 0.0
        watch.state(name, State.UP, "")

    async def call(self, step: Step, *, asking: bool = False) -> Reply:
        """The reply of the script; whether it ran is open where there is none."""
        try:
            return await self._answer(step, asking=asking)
        except Unanswered as failure:
            self._watch.failed(failure.kind)
            raise

    async def close(self) -> None:
        """Ends when the steps under way have their answers."""
        if self._sender is not None:
            await self._sender
        if self._surveyor is not None:
            await self._surveyor
        await self._client.aclose()

    async def _answer(self, step: Step, *, asking: bool) -> Reply:
        if not self._admits():
            raise Unanswered(FailureKind.RESTING, f"{self.name} failed, and is tried again in a moment")
        call = _Call(step, asking, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        try:
            async with asyncio.timeout(self._timeout):
                return await call.answer
        except TimeoutError as late:
            raise self._late() from late
        except AskError as moved:  # MOVED derives from it
            target = HostPort(moved.host, moved.port)
            raise Redirected(target, asking=not isinstance(moved, MovedError)) from moved

    def _late(self) -> Unanswered:
        return Unanswered(FailureKind.TIMEOUT, f"no answer from {self.name} within {self._timeout} s")

    async def _send(self) -> None:
        try:
            while self._waiting:
                # Calls that arrived in the same turn of the loop come along: a near server answers before two meet.
                await asyncio.sleep(0)
                calls = self._batch()
                if calls:
                    await self._round_trip(calls)
        finally:
            self._sender = None

    def _batch(self) -> list[_Call]:
        """The next steps to send. Those whose caller has gone take nothing and do not pile up behind a slow server."""
        calls: list[_Call] = []
        while self._waiting and len(calls) < LARGEST_BATCH:
            call = self._waiting.popleft()
            if not call.answer.done():
                calls.append(call)
        return calls

    async def _round_trip(self, calls: Sequence[_Call]) -> None:
        begun = self._clock.monotonic()
        outcomes = await self._outcomes(calls)
        self._watch.round_trip(self._clock.monotonic() - begun, len(calls))
        failure = _of_server(outcomes)
        if failure is None:
            self._survey_in_time()
        elif failure.kind in RECONNECT:
            with suppress(RedisError, OSError):
                await self._client.connection_pool.disconnect(inuse_connections=False)
        self._judge(failure)
        for call, outcome in zip(calls, outcomes, strict=True):
            call.settle(outcome)

    async def _outcomes(self, calls: Sequence[_Call]) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(self._timeout):
                outcomes = await self._replies(calls)
        except TimeoutError:
            return [self._late() for _ in calls]
        except (RedisError, OSError) as error:
            return [unanswered(error) for _ in calls]
        return [_told(outcome) for outcome in outcomes]

    async def _replies(self, calls: Sequence[_Call]) -> Sequence[Outcome]:
        replies = await self._pipelined(calls)
        unknown = [position for position, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            for source in {calls[position].step.script.source for position in unknown}:
                await self._client.script_load(source)
            again = await self._pipelined([calls[position] for position in unknown])
            for position, reply in zip(unknown, again, strict=True):
                replies[position] = reply
        return replies

    async def _pipelined(self, calls: Sequence[_Call]) -> list[Outcome]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            if call.asking:
                pipeline.execute_command("ASKING")
            step = call.step
            pipeline.evalsha(step.script.digest, len(step.keys), *step.keys, *step.arguments)
        replies = iter(await pipeline.execute(raise_on_error=False))
        outcomes: list[Outcome] = []
        for call in calls:
            if call.asking:
                next(replies)
            outcomes.append(next(replies))
        return outcomes

    def _admits(self) -> bool:
        before = self._breaker.state
        admitted = self._breaker.admits(self._clock.monotonic())
        self._tell(before, "")
        return admitted

    def _judge(self, failure: Unanswered | None) -> None:
        before = self._breaker.state
        now = self._clock.monotonic()
        if failure is None:
            self._breaker.answered(now)
        else:
            self._breaker.failed(now)
        self._tell(before, str(failure or ""))
        if failure is not None and self._breaker.state is State.OPEN:
            while self._waiting:
                self._waiting.popleft().settle(failure)

    def _tell(self, before: State, reason: str) -> None:
        if self._breaker.state is not before:
            self._watch.state(self.name, self._breaker.state, reason)

    def _survey_in_time(self) -> None:
        now = self._clock.monotonic()
        if self._surveyor is not None and not self._surveyor.done():
            return
        if now >= self._next_survey or self._breaker.state is not State.UP:
            self._next_survey = now + SURVEY_EVERY
            self._surveyor = asyncio.create_task(self._survey())

    async def _survey(self) -> None:
        """How the server is set up; one that does not say is no failure."""
        try:
            async with asyncio.timeout(self._timeout):
                found = survey(await self._client.info())
        except (RedisError, OSError, TimeoutError):
            return
        self._watch.surveyed(self.name, found)


def _told(outcome: Outcome) -> Outcome:
    """Redirections as they are, all other errors as ours."""
    if isinstance(outcome, Exception) and not isinstance(outcome, AskError):
        return unanswered(outcome)
    return outcome


def _of_server(outcomes: Sequence[Outcome]) -> Unanswered | None:
    """The failure of a server that answered nothing but failures; an error of one step is an answer."""
    last = None
    for outcome in outcomes:
        if not isinstance(outcome, Unanswered) or outcome.kind is FailureKind.ERROR:
            return None
        last = outcome
    return last
