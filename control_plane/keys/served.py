"""Stored keys and consumers as the authorizer is told of them: read whole once, then change by change.

What is read is turned into resources where it was read, by any thread; `Served` takes it in on the event loop, where
others look at the same mappings.
"""

import heapq
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, or_, select

from control_plane.evolving import Evolving
from control_plane.keys.tables import CONSUMERS, KEYS, STATE
from control_plane.snapshot import Resource, Snapshot, resource
from service_kit.collector import without_collections
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

SERVED_COLUMNS: Final = KEYS.c[
    "id", "hash", "consumer", "plan", "scopes", "roles", "allow_ips", "expires", "revoked_at", "models"
]

Told = Mapping[str, Resource | None]  # None: gone


@dataclass(frozen=True)
class Changes:
    """What a database holds beyond what is known, up to a revision; `whole`: all it holds, whatever is known."""

    revision: int
    whole: bool
    consumers: Told = field(repr=False)
    keys: Told = field(repr=False)
    expiries: Mapping[str, int] = field(repr=False)


class Served:
    """What is told now."""

    def __init__(self) -> None:
        self.revision: int | None = None
        self.snapshot: Snapshot | None = None
        self._consumers: Evolving[Resource] = Evolving.of({})
        self._keys: Evolving[Resource] = Evolving.of({})
        self._expiries: dict[str, int] = {}
        self._next_expiries: list[tuple[int, str]] = []

    def apply(self, changes: Changes) -> bool:
        """Whether anything is told otherwise now."""
        consumers, keys = changes.consumers, changes.keys
        if changes.whole:
            consumers, keys = dict.fromkeys(self._consumers) | dict(consumers), dict.fromkeys(self._keys) | dict(keys)
        self.revision = changes.revision
        self._note_expiries(keys, changes.expiries)
        return self._tell(consumers, keys)

    def expire(self, now: float) -> bool:
        """Drops keys that have ended. The authorizer knew by itself; this frees memory."""
        ended = []
        while self._next_expiries and self._next_expiries[0][0] <= now:
            at, name = heapq.heappop(self._next_expiries)
            if self._expiries.get(name) == at:
                del self._expiries[name]
                ended.append(name)
        return bool(ended) and self._tell({}, dict.fromkeys(ended))

    def _note_expiries(self, keys: Iterable[str], expiries: Mapping[str, int]) -> None:
        for name in keys:
            self._expiries.pop(name, None)
        self._expiries.update(expiries)
        for name, at in expiries.items():
            heapq.heappush(self._next_expiries, (at, name))

    def _tell(self, consumers: Told, keys: Told) -> bool:
        before = self._consumers, self._keys
        self._consumers, self._keys = _changed(self._consumers, consumers), _changed(self._keys, keys)
        if self.snapshot is not None and before == (self._consumers, self._keys):
            return False
        self.snapshot = Snapshot(MappingProxyType({CONSUMER_TYPE: self._consumers, API_KEY_TYPE: self._keys}))
        return True


def changes_since(db: Connection, known: int | None, now: float) -> Changes | None:
    """What changed after the known revision; all there is where none is known, or a backup was restored."""
    revision = int(db.execute(select(STATE.c.revision)).scalar_one())
    if revision == known:
        return None
    consumers, keys = select(*CONSUMERS.c["name", "tenant", "plan", "deleted_at"]), select(*SERVED_COLUMNS)
    whole = known is None or revision < known
    if whole:
        consumers = consumers.where(CONSUMERS.c.deleted_at.is_(None))
        keys = keys.where(KEYS.c.revoked_at.is_(None), or_(KEYS.c.expires.is_(None), KEYS.c.expires > now))
    else:
        consumers, keys = consumers.where(CONSUMERS.c.revision > known), keys.where(KEYS.c.revision > known)
    expiries: dict[str, int] = {}
    with without_collections() if whole else nullcontext():
        told_consumers = {row.name: _told_consumer(row) for row in db.execute(consumers)}
        told_keys = _told_keys(db.execute(keys), expiries, now)
    return Changes(revision, whole, told_consumers, told_keys, expiries)


def _changed(named: Evolving[Resource], told: Told) -> Evolving[Resource]:
    """With what is told; the same mapping where all of it is as it was."""
    changed = {name: item for name, item in told.items() if item is not None and named.get(name) != item}
    removed = [name for name, item in told.items() if item is None and name in named]
    return named.changed(changed, removed) if changed or removed else named


def _told_keys(rows: Iterable[Row[Any]], expiries: dict[str, int], now: float) -> Told:
    """The keys that have not ended; the ends of those that will are put into `expiries`."""
    told: dict[str, Resource | None] = {}
    for row in rows:
        ended = row.revoked_at is not None or (row.expires is not None and row.expires <= now)
        told[row.id] = None if ended else _told_key(row)
        if not ended and row.expires is not None:
            expiries[row.id] = row.expires
    return told


def _told_key(row: Row[Any]) -> Resource:
    key = policy_pb.ApiKey(
        id=row.id,
        hash=bytes(row.hash),
        consumer=row.consumer,
        scopes=row.scopes,
        roles=row.roles,
        allow_ips=row.allow_ips,
        expires=row.expires or 0,
        plan=row.plan or "",
        models=policy_pb.Models(patterns=row.models) if row.models else None,
    )
    return resource(API_KEY_TYPE, row.id, key.SerializeToString(deterministic=True))


def _told_consumer(row: Row[Any]) -> Resource | None:
    if row.deleted_at is not None:
        return None
    consumer = policy_pb.Consumer(name=row.name, tenant=row.tenant or "", plan=row.plan or "")
    return resource(CONSUMER_TYPE, row.name, consumer.SerializeToString(deterministic=True))
