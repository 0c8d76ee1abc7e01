"""The tables of stored keys and consumers, and whether a database is one that this program may work with.

Every change has a number, `revision`, which its rows carry: what has changed since a number is one question. Nothing is
deleted: who made and who ended a key stays to be read.
"""

import hmac
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import Inspector

from control_plane.keys.errors import StoreUnusable
from service_kit.api_keys import ID_LENGTH

VERSION: Final = 2
# What the hashes of a database were made with is told by the hash of this.
PEPPER_WITNESS: Final = b"tollgate api key pepper"
POSTGRESQL: Final = "postgresql"
# Held while the tables are made, so that of several control planes one makes them: "TGid".
MAKING: Final = 0x54476964
ANOTHER: Final = "or name another store and begin without keys"


class Words(TypeDecorator[tuple[str, ...]]):
    """A list of words as JSON. A hundred thousand keys have few different ones, which are read once."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> str:  # noqa: ARG002 - SQLAlchemy's
        return json.dumps(list(value or ()))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:  # noqa: ARG002 - as above
        return _words(value or "[]")


@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


TABLES: Final = MetaData()
# One row.
STATE: Final = Table(
    "tollgate_identities",
    TABLES,
    Column("schema_version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("pepper_witness", LargeBinary, nullable=False),
)
CONSUMERS: Final = Table(
    "tollgate_consumers",
    TABLES,
    Column("name", String, primary_key=True),
    Column("tenant", String),
    Column("plan", String),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", String, nullable=False),
    Column("deleted_at", BigInteger),
    Column("revision", BigInteger, nullable=False, index=True),
)
KEYS: Final = Table(
    "tollgate_keys",
    TABLES,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("consumer", String, nullable=False),
    Column("plan", String),
    Column("scopes", Words, nullable=False),
    Column("roles", Words, nullable=False),
    Column("allow_ips", Words, nullable=False),
    Column("expires", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String, nullable=False),
    Column("rotated_to", String(ID_LENGTH)),
    Column("revoked_at", BigInteger),
    Column("revoked_by", String),
    Column("last_used", BigInteger),
    Column("revision", BigInteger, nullable=False, index=True),
    # None, as of keys from before there were such: all that its plan may call.
    Column("models", Words),
    Index("tollgate_keys_by_age", "created_at", "id"),
    Index("tollgate_keys_of_consumer", "consumer", "created_at", "id"),
)
# At most one row: what the gateway's own tokens are signed with, encrypted under the pepper.
SIGNING_KEYS: Final = Table(
    "tollgate_signing_keys",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)


def prepare(db: Connection, pepper: bytes) -> None:
    """Makes the tables where there are none; StoreUnusable where what is there is not to be worked with."""
    if db.dialect.name == POSTGRESQL:
        db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MAKING})
    witness = hmac.digest(pepper, PEPPER_WITNESS, "sha256")
    found = inspect(db)
    if not found.has_table(STATE.name):
        _create(db, found, witness)
    _check(db, witness)
    _migrate(db)


def _create(db: Connection, found: Inspector, witness: bytes) -> None:
    if db.dialect.name != POSTGRESQL and (others := found.get_table_names()):
        message = f"it is a database of something else: it has a table {others[0]!r}"
        raise StoreUnusable(message, "name a file of its own")
    TABLES.create_all(db)
    db.execute(insert(STATE).values(schema_version=VERSION, revision=0, pepper_witness=witness))


def _check(db: Connection, witness: bytes) -> None:
    row = db.execute(select(STATE.c.schema_version, STATE.c.pepper_witness)).one_or_none()
    if row is None:
        raise StoreUnusable("its state is missing", f"restore it from a backup, {ANOTHER}")
    if row.schema_version > VERSION:
        message = f"a newer version of this program wrote it (schema {row.schema_version}, known up to {VERSION})"
        raise StoreUnusable(message, "run that version")
    if not hmac.compare_digest(row.pepper_witness, witness):
        _take_over(db, witness)


def _migrate(db: Connection) -> None:
    """Brings the tables to this version; programs of the one before refuse them from then on."""
    if db.execute(select(STATE.c.schema_version)).scalar_one() == VERSION:
        return
    db.execute(text(f"ALTER TABLE {KEYS.name} ADD COLUMN models VARCHAR"))
    db.execute(update(STATE).values(schema_version=VERSION))


def _take_over(db: Connection, witness: bytes) -> None:
    """Another pepper matters only to keys there are."""
    if db.execute(select(KEYS.c.id).limit(1)).first() is not None:
        message = "its keys were made under another pepper, and none of them would be known"
        cure = (
            "give the pepper they were made under: `identity.api_keys.pepper`, or `key_pepper` in the state directory"
        )
        raise StoreUnusable(message, f"{cure}; {ANOTHER}")
    db.execute(update(STATE).values(pepper_witness=witness))
