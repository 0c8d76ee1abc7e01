"""The tables of the ledger, and whether a database is one.

Every writer, which is one tail of one Envoy's log, has a chain of its own. Sums of hours and days are kept beside the
rows, and stay when rows are old enough to go.
"""

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Final, get_args

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    literal,
    select,
    text,
    update,
)

from service_kit.contract import MISSING
from service_kit.databases import POSTGRESQL
from usage_ledger.audit.entries import AuditEntry
from usage_ledger.entries import Entry
from usage_ledger.errors import LedgerUnusable

VERSION: Final = 2
# Held while a transaction changes something: a call and its hold may be told by two writers at once. "TGul".
CHANGING: Final = 0x5447756C

TABLES: Final = MetaData()
STATE: Final = Table("tollgate_ledger", TABLES, Column("schema_version", Integer, nullable=False))
WRITERS: Final = Table(
    "tollgate_ledger_writers",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    # The last row of its chain.
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # Milliseconds: rows from before were removed for their age, and would be taken for new ones.
    Column("horizon", BigInteger, nullable=False),
)


def _columns(entry: type[Entry | AuditEntry]) -> Iterator[Column[Any]]:  # Any: of numbers and of texts
    for name, kind in entry.__annotations__.items():
        parts = get_args(kind) or (kind,)
        yield Column(name, BigInteger if int in parts else String, nullable=NoneType in parts)


ROWS: Final = Table(
    "tollgate_ledger_rows",
    TABLES,
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
    *_columns(Entry),
    Column("hash", LargeBinary, nullable=False),
    Index("tollgate_ledger_rows_by_key", "key", "kind", "writer", unique=True),
    sqlite_with_rowid=False,
)
# Rows are removed in these alone, whole and the oldest first, so that what stays is a chain.
SEGMENTS: Final = Table(
    "tollgate_ledger_segments",
    TABLES,
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("opened", BigInteger, nullable=False),
    # The start of its newest row.
    Column("newest", BigInteger, nullable=False),
    Column("removed", BigInteger),
)
POSITIONS: Final = Table(
    "tollgate_ledger_positions",
    TABLES,
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("source", String, primary_key=True),
    Column("device", String, primary_key=True),  # numbers of a kernel have 64 bits and no sign
    Column("inode", String, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("head_size", Integer, nullable=False),
    Column("head", LargeBinary, nullable=False),
)
QUARANTINE: Final = Table(
    "tollgate_ledger_quarantine",
    TABLES,
    Column("digest", LargeBinary, primary_key=True),
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("source", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("line", LargeBinary, nullable=False),
)

# Who changed what: a chain of its own for each writer.
AUDIT_CHAINS: Final = Table(
    "tollgate_ledger_audit_chains",
    TABLES,
    Column("writer", Integer, primary_key=True, autoincrement=False),
    # The last row.
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # The last row that went for its age, and since when rows are kept, in milliseconds.
    Column("gone", BigInteger, nullable=False),
    Column("gone_hash", LargeBinary, nullable=False),
    Column("horizon", BigInteger, nullable=False),
)
AUDIT: Final = Table(
    "tollgate_ledger_audit",
    TABLES,
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    *_columns(AuditEntry),
    Column("hash", LargeBinary, nullable=False),
    Index("tollgate_ledger_audit_by_id", "writer", "id", unique=True),
    Index("tollgate_ledger_audit_by_time", "at"),
)

DIMENSIONS: Final = ("consumer", "tenant", "plan", "key_id", "route", "model", "usage", "upstream")
SUMS: Final = (
    "calls", "refused", "failed", "units", "tokens_in", "tokens_out", "tokens_cached", "estimated", "unsettled",
    "amount", "bytes_in", "bytes_out", "duration_ms", "tokens_reasoning",
)  # fmt: skip


# What rows have had since the second version.
ADDED: Final = ("asked_model", "upstream", "upstream_model", "first_token_ms", "tokens_reasoning")


def _sums(name: str) -> Table:
    return Table(
        name,
        TABLES,
        Column("begin", BigInteger, primary_key=True, autoincrement=False),
        *(Column(dimension, String, primary_key=True) for dimension in DIMENSIONS),
        *(Column(sum_, BigInteger, nullable=False) for sum_ in SUMS),
        Index(f"{name}_of_consumer", "consumer", "begin"),
        sqlite_with_rowid=False,
    )


HOURS: Final = _sums("tollgate_ledger_hours")
DAYS: Final = _sums("tollgate_ledger_days")
# Seconds, and the table that has sums of so long.
SPANS: Final = ((3600, HOURS), (86400, DAYS))


def lock(db: Connection) -> None:
    """Holds off everybody else who changes something, until the transaction ends; SQLite does so by itself."""
    if db.dialect.name == POSTGRESQL:
        db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHANGING})


def prepare(db: Connection) -> None:
    """Makes the tables where there are none; LedgerUnusable where what is there is not to be worked with."""
    lock(db)
    found = inspect(db)
    if not found.has_table(STATE.name):
        if db.dialect.name != POSTGRESQL and (others := found.get_table_names()):
            raise LedgerUnusable(f"it is a database of something else: it has a table {others[0]!r}; name another file")
        TABLES.create_all(db)
        db.execute(insert(STATE).values(schema_version=VERSION))
    if _version(db) == 1:
        _migrate(db)
    check(db)


def check(db: Connection) -> None:
    """LedgerUnusable where the tables are not those of this version."""
    if not inspect(db).has_table(STATE.name):
        raise LedgerUnusable("it holds no ledger; name the database that the ledger writes")
    version = _version(db)
    if version == 1:
        raise LedgerUnusable("an older version of this program wrote it; start the ledger, which brings it up to date")
    if version != VERSION:
        raise LedgerUnusable(f"its schema is {version}, this program's {VERSION}; run the version that wrote it")


def _version(db: Connection) -> int | None:
    return db.execute(select(STATE.c.schema_version)).scalar_one_or_none()


def _migrate(db: Connection) -> None:
    """From before there were models: rows stay as they are, and sums are told apart by upstream, too."""
    for name in ADDED:
        kind = ROWS.c[name].type.compile(db.dialect)
        db.execute(text(f"ALTER TABLE {ROWS.name} ADD COLUMN {name} {kind}"))
    for _, table in SPANS:
        _made_anew(db, table)
    db.execute(update(STATE).values(schema_version=VERSION))


def _made_anew(db: Connection, table: Table) -> None:
    """With the columns of now, of which there was nothing before."""
    before = f"{table.name}_before"
    db.execute(text(f"DROP INDEX {table.name}_of_consumer"))
    db.execute(text(f"ALTER TABLE {table.name} RENAME TO {before}"))
    table.create(db)
    old = Table(before, MetaData(), autoload_with=db)
    nothing: Mapping[str, Any] = {"upstream": literal(MISSING), "tokens_reasoning": literal(0)}  # Any: SQLAlchemy's
    names = [column.name for column in table.c]
    values = [nothing[name] if name in nothing else old.c[name] for name in names]
    db.execute(insert(table).from_select(names, select(*values)))
    old.drop(db)
