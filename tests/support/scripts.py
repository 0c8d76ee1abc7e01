"""Scripts on a plain client: where they run, without what a service needs around it."""

from collections.abc import Callable
from dataclasses import replace

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from ratelimit_service.scripts import Reply, Step, StoreUnavailable


class ScriptsAt:
    """Runs steps at once, at a time of the test."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._known: set[str] = set()

    def run(self, step: Step, now: int) -> Reply:
        if step.script.digest not in self._known:
            self._client.script_load(step.script.source)
            self._known.add(step.script.digest)
        return self._client.evalsha(step.script.digest, len(step.keys), *step.keys, now, *step.arguments[1:])


class ClientScripts:
    """Runs each step in a round trip of its own, on the server that `client_of` names for its first key.

    `fails` are scripts that find no store; `now` is the server's clock unless a test sets it.
    """

    def __init__(self, client_of: Callable[[str], redis.asyncio.Redis], *, clustered: bool = False) -> None:
        self._client_of = client_of
        self.clustered = clustered
        self.fails: Callable[[Step], bool] = lambda _: False
        self.now: int | None = None

    async def call(self, step: Step) -> Reply:
        if self.fails(step):
            raise StoreUnavailable("broken by the test")
        timed = step if self.now is None else replace(step, arguments=(self.now, *step.arguments[1:]))
        client = self._client_of(step.keys[0])
        try:
            return await client.evalsha(step.script.digest, len(timed.keys), *timed.keys, *timed.arguments)
        except NoScriptError:
            return await client.eval(step.script.source, len(timed.keys), *timed.keys, *timed.arguments)
