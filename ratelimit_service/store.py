"""The counters in Redis or Valkey: one script call takes all counters of a request or none.

Errors: StoreUnavailable - the store was not reached, was too slow, or answered with an error.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from ratelimit_service.windows import Reading, Window

CONNECT_TIMEOUT: Final = 0.1
CALL_TIMEOUT: Final = 0.2
# Seconds for one whole take, with waiting for the calls before it, connecting and loading the script.
TAKE_TIMEOUT: Final = 0.25
# Calls of one round trip; a store that fell behind is asked in portions.
LARGEST_BATCH: Final = 64

SCRIPT: Final = files("ratelimit_service").joinpath("take.lua").read_text(encoding="utf-8")
# EVALSHA names a script by this digest; it protects nothing.
SCRIPT_DIGEST: Final = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

# What the client makes of one call of a pipeline.
Outcome = Sequence[int] | Exception


class StoreUnavailable(Exception):  # noqa: N818 - a state of the outside world, named as the contract names it
    """The store gave no answer in time, or an error instead of one."""


class StoreAddressError(ValueError):
    """An address of a store that cannot be used; the message names the cure."""


@dataclass(frozen=True)
class Counter:
    """One counter of one request."""

    key: str
    window: Window


@dataclass(frozen=True)
class Taken:
    """Whether the hits were taken, from all counters or from none; and each counter's reading, in the order asked."""

    admitted: bool
    readings: tuple[Reading, ...]


def counter_key(slot: Sequence[str], parts: Sequence[str]) -> str:
    """The key of a counter: parts are escaped, so that two different lists never make one key.

    On a Redis Cluster the text in braces alone decides where the counter lives.
    """
    return f"tg:{{{_escaped(slot)}}}:{_escaped(parts)}"


def _escaped(parts: Sequence[str]) -> str:
    return ":".join(quote(part, safe="") for part in parts)


def redis_store(address: str) -> "CounterStore":
    """The store at `unix:/path`, `redis://...` or `rediss://...`; nothing is connected before the first take."""
    url = _redis_url(address)
    try:
        pool = ConnectionPool.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=CALL_TIMEOUT,
            # A take is not repeatable: a lost answer may have been counted.
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # connects with one command less, and asks for no push messages
        )
        pool.connection_class(**pool.connection_kwargs)  # connects nothing, but refuses an option that does not exist
    except (ValueError, TypeError):
        # the cause may quote a part of the password
        raise StoreAddressError(
            "the store's address cannot be read: check host, port and options, and percent-encode the password"
        ) from None
    return CounterStore(Redis.from_pool(pool))


def _redis_url(address: str) -> str:
    if address.startswith("unix:/"):
        return "unix:///" + address.removeprefix("unix:").lstrip("/")
    if address.startswith(("redis://", "rediss://")):
        return address
    raise StoreAddressError("the store's address must be unix:/path, redis://host:port or rediss://host:port")


@dataclass(frozen=True, eq=False)
class _Call:
    counters: Sequence[Counter]
    hits: int
    answer: asyncio.Future[Taken]

    def settle(self, outcome: Outcome) -> None:
        if self.answer.done():  # the caller hung up meanwhile
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(StoreUnavailable(str(outcome) or type(outcome).__name__))
        else:
            self.answer.set_result(taken_from_reply(outcome))


class CounterStore:
    """Counters behind a Redis client. Calls that arrive while others are under way share the next round trip."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: deque[_Call] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def take(self, counters: Sequence[Counter], hits: int) -> Taken:
        """Takes `hits` from every counter or from none; StoreUnavailable leaves open whether they were taken."""
        call = _Call(counters, hits, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        try:
            async with asyncio.timeout(TAKE_TIMEOUT):
                return await call.answer
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {TAKE_TIMEOUT} s") from error

    async def close(self) -> None:
        """Ends when the calls under way have their answers."""
        if self._sender is not None:
            await self._sender
        await self._client.aclose()

    async def _send(self) -> None:
        try:
            while self._waiting:
                calls = self._batch()
                for call, outcome in zip(calls, await self._outcomes(calls), strict=True):
                    call.settle(outcome)
        finally:
            self._sender = None

    def _batch(self) -> list[_Call]:
        """The next calls to send. Those whose caller has gone take nothing and do not pile up behind a slow store."""
        calls: list[_Call] = []
        while self._waiting and len(calls) < LARGEST_BATCH:
            call = self._waiting.popleft()
            if not call.answer.done():
                calls.append(call)
        return calls

    async def _outcomes(self, calls: Sequence[_Call]) -> Sequence[Outcome]:
        try:
            return await self._replies(calls)
        except (RedisError, OSError) as error:
            return [error] * len(calls)

    async def _replies(self, calls: Sequence[_Call]) -> Sequence[Outcome]:
        replies = await self._pipelined(calls)
        unknown = [position for position, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            await self._client.script_load(SCRIPT)
            again = await self._pipelined([calls[position] for position in unknown])
            for position, reply in zip(unknown, again, strict=True):
                replies[position] = reply
        return replies

    async def _pipelined(self, calls: Sequence[_Call]) -> list[Outcome]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            keys = [counter.key for counter in call.counters]
            pipeline.evalsha(SCRIPT_DIGEST, len(keys), *keys, *script_arguments(call.counters, call.hits))
        replies: list[Outcome] = await pipeline.execute(raise_on_error=False)
        return replies


def script_arguments(counters: Sequence[Counter], hits: int, now: int | None = None) -> list[int | str]:
    """The arguments of take.lua; without `now` the server's clock decides, which all replicas of this service share."""
    arguments: list[int | str] = [hits, "" if now is None else now]
    for counter in counters:
        arguments += (counter.window.limit, counter.window.period, counter.window.length)
    return arguments


def taken_from_reply(reply: Sequence[int]) -> Taken:
    """The answer of take.lua."""
    admitted, *numbers = reply
    rows = zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True)
    return Taken(admitted == 1, tuple(Reading(*row) for row in rows))
