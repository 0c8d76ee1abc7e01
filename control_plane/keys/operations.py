"""What may be done with keys and consumers, inside one transaction each.

Whoever changes something takes the next number first, and with it the lock that puts all changes in one order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, insert, or_, select, text, tuple_, update

from control_plane.keys.checked import LATEST
from control_plane.keys.entries import ConsumerSpec, KeySpec, StoredConsumer, StoredKey
from control_plane.keys.errors import Conflict, NotFound
from control_plane.keys.tables import CONSUMERS, KEYS, POSTGRESQL, SIGNING_KEYS, STATE

# PostgreSQL tells those who listen here when a change is committed.
CHANNEL: Final = "tollgate_identities"
# Held while the signing keys are turned: "TGsk".
TURNING: Final = 0x5447736B
KEY_COLUMNS: Final = tuple(column for column in KEYS.c if column.name not in ("hash", "revision"))


@dataclass(frozen=True)
class Author:
    """Who changes something, and when, in seconds since the epoch."""

    by: str
    at: int


@dataclass(frozen=True)
class Made:
    """A key that nobody has yet: its id, and the hash of its text."""

    id: str
    hash: bytes


def create_key(db: Connection, made: Made, spec: KeySpec, author: Author, *, consumer_declared: bool) -> StoredKey:
    revision = _next_revision(db)
    if not consumer_declared and _consumer(db, spec.consumer) is None:
        raise NotFound(f"there is no consumer {spec.consumer!r}", "create it first, or declare it in `consumers`")
    _insert_key(db, made, spec, author, revision)
    return key(db, made.id)


def rotate(db: Connection, key_id: str, made: Made, overlap: int, author: Author) -> StoredKey:
    """The new key, which lives as long as the old one was meant to. The old one ends with the overlap at the latest."""
    revision = _next_revision(db)
    old = key(db, key_id)
    if old.rotated_to is not None:
        raise Conflict(f"the key {key_id} was rotated already", f"rotate {old.rotated_to}, which took its place")
    if (state := old.state(author.at)) != "active":
        raise Conflict(f"the key {key_id} is {state}", "create a new one")
    expires, ends = old.spec.expires, author.at + overlap
    fresh = KeySpec(**{**vars(old.spec), "expires": _as_long_as(old, author.at)})
    _insert_key(db, made, fresh, author, revision)
    _change_key(db, key_id, revision, rotated_to=made.id, expires=ends if expires is None else min(ends, expires))
    return key(db, made.id)


def _as_long_as(old: StoredKey, now: int) -> int | None:
    """When a key ends that begins now and lives as long as the old one was meant to."""
    expires = old.spec.expires
    return None if expires is None else min(now + expires - old.created_at, LATEST)


def revoke(db: Connection, key_id: str, author: Author) -> StoredKey:
    if key(db, key_id).revoked_at is None:
        _change_key(db, key_id, _next_revision(db), revoked_at=author.at, revoked_by=author.by)
    return key(db, key_id)


def key(db: Connection, key_id: str) -> StoredKey:
    row = db.execute(select(*KEY_COLUMNS).where(KEYS.c.id == key_id)).one_or_none()
    if row is None:
        cure = "list those there are with `tollgate keys list`; declared ones are changed in the configuration"
        raise NotFound(f"there is no stored key {key_id!r}", cure)
    return _stored_key(row)


def keys(db: Connection, consumer: str | None, after: str | None, limit: int) -> Sequence[StoredKey]:
    """A page of them, the oldest first."""
    chosen: list[ColumnElement[bool]] = []
    if consumer is not None:
        chosen.append(KEYS.c.consumer == consumer)
    if after is not None:
        chosen.append(tuple_(KEYS.c.created_at, KEYS.c.id) > tuple_(key(db, after).created_at, after))
    query = select(*KEY_COLUMNS).where(*chosen).order_by(KEYS.c.created_at, KEYS.c.id).limit(limit)
    return tuple(map(_stored_key, db.execute(query)))


def keep_uses(db: Connection, times: Mapping[str, int]) -> None:
    """Takes no number: nobody is told. In order, so that two who do it at once do not wait for each other."""
    for key_id, at in sorted(times.items()):
        earlier = or_(KEYS.c.last_used.is_(None), KEYS.c.last_used < at)
        db.execute(update(KEYS).where(KEYS.c.id == key_id, earlier).values(last_used=at))


def create_consumer(db: Connection, spec: ConsumerSpec, author: Author) -> StoredConsumer:
    revision = _next_revision(db)
    if _consumer(db, spec.name) is not None:
        raise Conflict(f"there is a consumer {spec.name!r} already", "update it, or choose another name")
    values = {
        "tenant": spec.tenant,
        "plan": spec.plan,
        "created_at": author.at,
        "created_by": author.by,
        "changed_at": author.at,
        "changed_by": author.by,
        "deleted_at": None,
        "revision": revision,
    }
    again = db.execute(update(CONSUMERS).where(CONSUMERS.c.name == spec.name).values(values))  # it was deleted once
    if not again.rowcount:
        db.execute(insert(CONSUMERS).values(name=spec.name, **values))
    return StoredConsumer(spec.name, spec.tenant, spec.plan, author.at, author.by)


def update_consumer(
    db: Connection, name: str, change: Callable[[StoredConsumer], ConsumerSpec], author: Author
) -> StoredConsumer:
    """The consumer as it is now, which `change` makes of what it was."""
    revision = _next_revision(db)
    before = consumer(db, name)
    spec = change(before)
    _change_consumer(db, name, author, revision, tenant=spec.tenant, plan=spec.plan)
    return StoredConsumer(name, spec.tenant, spec.plan, before.created_at, before.created_by)


def delete_consumer(db: Connection, name: str, author: Author) -> int:
    """The consumer is no more, and its keys open nothing; how many of them did."""
    revision = _next_revision(db)
    consumer(db, name)
    _change_consumer(db, name, author, revision, deleted_at=author.at)
    live = (KEYS.c.consumer == name, KEYS.c.revoked_at.is_(None))
    values = {"revoked_at": author.at, "revoked_by": author.by, "revision": revision}
    return db.execute(update(KEYS).where(*live).values(values)).rowcount


def turn_signing_keys(db: Connection, change: Callable[[bytes | None], bytes]) -> bytes:
    """What is kept now, which `change` makes of what was kept; one control plane after the other."""
    if db.dialect.name == POSTGRESQL:
        db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TURNING})
    before = db.execute(select(SIGNING_KEYS.c.sealed)).scalar_one_or_none()
    kept = None if before is None else bytes(before)
    after = change(kept)
    if kept is None:
        db.execute(insert(SIGNING_KEYS).values(id=1, sealed=after))
    elif after != kept:
        db.execute(update(SIGNING_KEYS).values(sealed=after))
    return after


def consumers(db: Connection, after: str, limit: int) -> Sequence[StoredConsumer]:
    """A page of them, by name."""
    there = (CONSUMERS.c.name > after, CONSUMERS.c.deleted_at.is_(None))
    rows = db.execute(select(CONSUMERS).where(*there).order_by(CONSUMERS.c.name).limit(limit))
    return tuple(map(_stored_consumer, rows))


def _next_revision(db: Connection) -> int:
    query = update(STATE).values(revision=STATE.c.revision + 1).returning(STATE.c.revision)
    revision = int(db.execute(query).scalar_one())
    if db.dialect.name == POSTGRESQL:
        db.execute(select(func.pg_notify(CHANNEL, str(revision))))
    return revision


def _insert_key(db: Connection, made: Made, spec: KeySpec, author: Author, revision: int) -> None:
    db.execute(
        insert(KEYS).values(
            id=made.id,
            hash=made.hash,
            **vars(spec),
            created_at=author.at,
            created_by=author.by,
            revision=revision,
        )
    )


def _change_key(db: Connection, key_id: str, revision: int, **values: object) -> None:
    db.execute(update(KEYS).where(KEYS.c.id == key_id).values(revision=revision, **values))


def _change_consumer(db: Connection, name: str, author: Author, revision: int, **values: object) -> None:
    stamp = {"changed_at": author.at, "changed_by": author.by, "revision": revision}
    db.execute(update(CONSUMERS).where(CONSUMERS.c.name == name).values({**stamp, **values}))


def consumer(db: Connection, name: str) -> StoredConsumer:
    found = _consumer(db, name)
    if found is None:
        cure = "list those there are with `tollgate consumers list`; declared ones are changed in the configuration"
        raise NotFound(f"there is no stored consumer {name!r}", cure)
    return found


def _consumer(db: Connection, name: str) -> StoredConsumer | None:
    query = select(CONSUMERS).where(CONSUMERS.c.name == name, CONSUMERS.c.deleted_at.is_(None))
    row = db.execute(query).one_or_none()
    return None if row is None else _stored_consumer(row)


def _stored_consumer(row: Row[Any]) -> StoredConsumer:
    return StoredConsumer(row.name, row.tenant, row.plan, row.created_at, row.created_by)


def _stored_key(row: Row[Any]) -> StoredKey:
    spec = KeySpec(row.consumer, row.scopes, row.roles, row.plan, row.allow_ips, row.expires, row.models)
    return StoredKey(
        row.id, spec, row.created_at, row.created_by, row.rotated_to, row.revoked_at, row.revoked_by, row.last_used
    )
