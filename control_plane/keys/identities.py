"""The keys and consumers that are made at run time: kept in a database, told to the authorizer from memory.

What is served is a snapshot in memory, which a change alters in the time it takes to say so; while the database is away
it stands. That an operation has returned means: it is on the disk, and in `snapshot`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from control_plane.keys import operations
from control_plane.keys.checked import checked_author, checked_consumer, checked_key
from control_plane.keys.database import TRY_LATER, Work, database
from control_plane.keys.entries import (
    NOTHING_DECLARED,
    ConsumerChange,
    ConsumerSpec,
    Declared,
    KeySpec,
    NewKey,
    StoredConsumer,
    StoredKey,
)
from control_plane.keys.errors import BadEntry, Conflict, StoreUnavailable, StoreUnusable
from control_plane.keys.notices import listen
from control_plane.keys.operations import Author, Made
from control_plane.keys.served import Changes, Served, changes_since
from control_plane.snapshot import Snapshot
from service_kit.api_keys import Key, RandomBytes, key_hash, new_key
from service_kit.clock import Clock
from service_kit.databases import SQLITE_PREFIX
from service_kit.log import Logger
from service_kit.worker import Worker

T = TypeVar("T")

# Seconds between two looks at a database that says nothing of what others did.
LOOK_AGAIN: Final = 10.0
# While it cannot be used.
TRY_AGAIN: Final = 1.0
# Seconds; longer than what a server that answers may take for a statement, after a connection to it was made.
LONGEST_ANSWER: Final = 20.0
LONGEST_FAREWELL: Final = 2.0
MOST_AT_ONCE: Final = 1_000
# Seconds that an old key may live on beside the new one; a month.
LONGEST_OVERLAP: Final = 31 * 86_400


class Identities:
    """The stored identities. Every operation raises nothing but an IdentityError.

    `url` is `sqlite:///PATH` or `postgresql://...`; `changed` is called on the event loop whenever `snapshot` was
    replaced, by an operation here or by another control plane on the same database.
    """

    def __init__(
        self,
        url: str,
        pepper: bytes,
        *,
        clock: Clock,
        log: Logger,
        random_bytes: RandomBytes,
        changed: Callable[[], None],
    ) -> None:
        self._url = url
        self._pepper = pepper
        self._clock = clock
        self._log = log
        self._random_bytes = random_bytes
        self._changed = changed
        self._database = database(url, pepper)
        self._declared = NOTHING_DECLARED
        self._served = Served()
        self._worker = Worker("identities")
        self._in_order = asyncio.Lock()  # what was committed first is told first
        self._under_way: set[asyncio.Task[Any]] = set()
        self._look = asyncio.Event()
        self._reachable = True
        self.trouble = ""  # why the database cannot be used, as far as is known

    @property
    def place(self) -> str:
        """Where the database is, without a password."""
        return self._database.place

    @property
    def snapshot(self) -> Snapshot | None:
        """CONSUMER_TYPE and API_KEY_TYPE by name; None until the database was read once."""
        return self._served.snapshot

    async def open(self) -> None:
        """Reads the database, which is made where there is none; raises StoreUnavailable or StoreUnusable."""
        await self._read()

    async def run(self) -> None:
        """Opens what is not open yet, follows changes made elsewhere, and drops what has expired; until cancelled."""
        listening = None if self._url.startswith(SQLITE_PREFIX) else asyncio.create_task(self._listen())
        try:
            while True:
                self._look.clear()
                await self._follow()
                await self._next_look()
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def close(self) -> None:
        """Lets what is under way end, and closes the database, which is left alone where it does not answer."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_FAREWELL):
                await self._worker.do(self._database.close)
        self._worker.stop()

    def declare(self, declared: Declared) -> None:
        """What the live configuration declares; called whenever one goes live."""
        self._declared = declared

    async def create_key(self, spec: KeySpec, *, by: str) -> NewKey:
        """A new key; BadEntry where the spec cannot be stored, NotFound where there is no such consumer."""
        author = self._author(by)
        checked = checked_key(spec, self._declared, author.at)
        is_declared = spec.consumer in self._declared.consumers
        key = self._new_key()
        made = self._made(key)
        stored = await self._change(
            lambda db: operations.create_key(db, made, checked, author, consumer_declared=is_declared)
        )
        return NewKey(stored, key.text)

    async def rotate(self, key_id: str, *, overlap: float, by: str) -> NewKey:
        """A new key for the same, with the same length of life; the old one ends after `overlap` seconds."""
        if not 0 <= overlap <= LONGEST_OVERLAP:
            raise BadEntry("overlap: it is out of range", "choose 0s to 31d")
        author = self._author(by)
        key = self._new_key()
        made = self._made(key)
        stored = await self._change(lambda db: operations.rotate(db, key_id, made, int(overlap), author))
        return NewKey(stored, key.text)

    async def revoke(self, key_id: str, *, by: str) -> StoredKey:
        """The key as it is now; revoking it again changes nothing."""
        author = self._author(by)
        return await self._change(lambda db: operations.revoke(db, key_id, author))

    async def key(self, key_id: str) -> StoredKey:
        return await self._ask(lambda db: operations.key(db, key_id))

    async def keys(
        self, *, consumer: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredKey]:
        """Keys, also revoked and expired ones, the oldest first; a page begins after the key with the id `after`."""
        return await self._ask(lambda db: operations.keys(db, consumer, after, _page(limit)))

    async def used(self, times: Mapping[str, float]) -> None:
        """Keeps when keys were last used; unknown ids are ignored, earlier times too. Nothing is pushed for it."""
        now = self._clock.now()
        seconds = {key_id: int(min(at, now)) for key_id, at in times.items() if at > 0}
        if seconds:
            await self._ask(lambda db: operations.keep_uses(db, seconds))

    async def create_consumer(self, spec: ConsumerSpec, *, by: str) -> StoredConsumer:
        """Conflict where the name is stored or declared."""
        author = self._author(by)
        if spec.name in self._declared.consumers:
            raise Conflict(f"the configuration declares a consumer {spec.name!r}", "change it there")
        checked = checked_consumer(spec, self._declared)
        return await self._change(lambda db: operations.create_consumer(db, checked, author))

    async def update_consumer(self, name: str, change: ConsumerChange, *, by: str) -> StoredConsumer:
        """Changes tenant and plan of a stored consumer: what it was is read in the same step."""
        author, declared = self._author(by), self._declared
        return await self._change(
            lambda db: operations.update_consumer(
                db, name, lambda before: checked_consumer(change.of(before), declared), author
            )
        )

    async def delete_consumer(self, name: str, *, by: str) -> int:
        """Deletes a stored consumer and revokes its keys; returns how many those were."""
        author = self._author(by)
        return await self._change(lambda db: operations.delete_consumer(db, name, author))

    async def consumer(self, name: str) -> StoredConsumer:
        return await self._ask(lambda db: operations.consumer(db, name))

    async def consumers(self, *, after: str = "", limit: int = 100) -> Sequence[StoredConsumer]:
        """The stored consumers by name."""
        return await self._ask(lambda db: operations.consumers(db, after, _page(limit)))

    async def turn_signing_keys(self, change: Callable[[bytes | None], bytes]) -> bytes:
        """What is kept of the signing keys, once `change`, in the database's thread, has made it of what was."""
        return await self._ask(lambda db: operations.turn_signing_keys(db, change))

    async def _listen(self) -> None:
        await listen(self._url, self._log, self._look.set)

    async def _follow(self) -> None:
        try:
            await self._read()
        except (StoreUnavailable, StoreUnusable) as error:
            if self._reachable:
                self._log.warning("stored keys cannot be read or changed", reason=error.message, cure=error.cure)
            self._reachable, self.trouble = False, str(error)
        else:
            if not self._reachable:
                self._log.info("stored keys can be read and changed again")
            self._reachable, self.trouble = True, ""
        if self._served.expire(self._clock.now()):
            self._changed()

    async def _next_look(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN if self._reachable else TRY_AGAIN):
                await self._look.wait()

    def _author(self, by: str) -> Author:
        return Author(checked_author(by), int(self._clock.now()))

    def _new_key(self) -> Key:
        while (key := new_key(self._random_bytes)).id in self._declared.keys:
            pass
        return key

    def _made(self, key: Key) -> Made:
        return Made(key.id, key_hash(self._pepper, key.text.encode()))

    async def _ask(self, work: Work[T]) -> T:
        """What the database answers. A caller who leaves does not end what has begun."""
        return await self._shielded(self._in_thread(work))

    async def _change(self, work: Work[T]) -> T:
        """What the database answers, once all that has changed in it is told."""
        return await self._shielded(self._changed_and_told(work))

    async def _read(self) -> None:
        await self._change(lambda _: None)

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _changed_and_told(self, work: Work[T]) -> T:
        def step(db: Connection) -> tuple[T, Changes | None]:
            answer = work(db)
            return answer, changes_since(db, self._served.revision, self._clock.now())

        async with self._in_order:
            answer, changes = await self._in_thread(step)
            if changes is not None and self._served.apply(changes):
                self._changed()
        return answer

    async def _in_thread(self, work: Work[T]) -> T:
        try:
            async with asyncio.timeout(LONGEST_ANSWER):
                return await self._worker.do(lambda: self._database.run(work))
        except TimeoutError as error:
            message = f"{self._database.place}: it did not answer within {LONGEST_ANSWER:g} s"
            raise StoreUnavailable(message, TRY_LATER) from error


def _page(limit: int) -> int:
    return min(max(limit, 1), MOST_AT_ONCE)
