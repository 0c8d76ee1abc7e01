"""A ledger of ten million rows: its reports take no longer than those of a few, and what it costs to keep it so."""

import shutil
import sqlite3
import time

import pytest
from sqlalchemy import select

from tests.support.ledger import Ledger, metered
from usage_ledger.database import Database
from usage_ledger.reports import Question, report
from usage_ledger.tables import DAYS, HOURS, ROWS, SUMS, WRITERS

# Rows that one statement makes.
PORTION = 500_000
# Each consumer calls two routes with two models: reports read a sum for each of these and each day.
CONSUMERS, ROUTES, MODELS = 200, 10, 5
MONTHS = 12
SECONDS = 30 * 86_400 * MONTHS
# 2023-11-14 12:00 UTC, when the row was written that all others are copies of.
BEGIN = 1_699_963_200
# Seconds that a report may take: nobody waits longer for a table.
SOON = 5.0
QUESTIONS = [
    pytest.param(Question(), id="everything"),
    pytest.param(Question(("consumer",)), id="by-consumer"),
    pytest.param(Question(("day", "model")), id="by-day-and-model"),
    pytest.param(Question(("route", "day"), only={"consumer": "consumer-7"}), id="of-one-consumer"),
    pytest.param(Question(("hour",), begin=BEGIN, end=BEGIN + 7 * 86_400), id="a-week-by-hours"),
]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory, request):
    """Copies of one row, spread over a year and over everybody who calls; their hashes are not looked at."""
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    made.write(metered(0))
    made.read()
    begun = time.monotonic()
    fill(made.folder / "ledger.sqlite", request.config.getoption("--rows"))
    size = (made.folder / "ledger.sqlite").stat().st_size
    print(f"\n{request.config.getoption('--rows'):,} rows made in {time.monotonic() - begun:.0f} s, {size >> 20:,} MiB")
    yield made
    shutil.rmtree(made.folder)  # four gigabytes


def fill(file, rows):
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-400000")
        made = {
            "seq": "n", "key": "CAST(printf('%016d', n) AS BLOB)", "id": "printf('id-%d', n)",
            "request_id": "printf('request-%d', n)",
            "started": f"{BEGIN}000 + CAST(n * ({SECONDS}000.0 / {rows}) AS INTEGER)",
            "consumer": f"printf('consumer-%d', n % {CONSUMERS})",
            "route": f"printf('route-%d', (n + n / {CONSUMERS} % 2) % {ROUTES})",
            "model": f"printf('model-%d', (n + n / {2 * CONSUMERS} % 2) % {MODELS})",
        }  # fmt: skip
        db.execute(f"CREATE TEMP TABLE one AS SELECT * FROM {ROWS.name}")
        columns = [column.name for column in ROWS.columns]
        values = ", ".join(made.get(name, f'r."{name}"') for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        for first in range(2, rows + 1, PORTION):
            last = min(first + PORTION - 1, rows)
            db.execute(
                f"WITH RECURSIVE c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c WHERE n < {last}) "
                f"INSERT INTO {ROWS.name} ({names}) SELECT {values} FROM c, one r"
            )
            db.commit()
        db.execute(f"UPDATE {WRITERS.name} SET seq = {rows}")
        summed(db)
        db.execute("PRAGMA journal_mode=WAL")
        print(f"\n{db.execute(f'SELECT count(*) FROM {DAYS.name}').fetchone()[0]:,} sums of days")


def summed(db):
    """The sums of what is there, as the ledger keeps them."""
    counted = {"calls": "count(*)", "refused": "0", "failed": "0", "units": "sum(cost)", "unsettled": "0"}
    sums = ", ".join(counted.get(name, f"sum({name})") for name in SUMS)
    for seconds, table in ((3600, HOURS), (86_400, DAYS)):
        named = ("consumer", "tenant", "plan", "key_id", "route", "model", "usage")
        parts = ", ".join(f"coalesce({name}, '-')" for name in named)
        begin = f"started / 1000 - started / 1000 % {seconds}"
        db.execute(f"DELETE FROM {table.name}")
        db.execute(
            f"INSERT INTO {table.name} (begin, {', '.join(named)}, {', '.join(SUMS)}) "
            f"SELECT {begin} AS b, {parts}, {sums} FROM {ROWS.name} GROUP BY b, {', '.join(named)}"
        )
        db.commit()


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_report_is_made_at_once(ledger, question):
    database = Database(ledger.url, changes=False)
    begun = time.monotonic()
    lines = database.run(lambda db: report(db, question))
    seconds = time.monotonic() - begun
    database.close()

    print(f"\n{seconds:.3f} s, {len(lines)} lines")
    assert lines
    assert seconds < SOON


def test_more_rows_are_added_at_once(ledger, request):
    ledger.write(*(metered(number) for number in range(1, 1001)))
    begun = time.monotonic()
    ledger.read()
    seconds = time.monotonic() - begun

    print(f"\n{seconds:.3f} s for 1,000 rows")
    assert ledger.run(lambda db: db.scalar(select(WRITERS.c.seq))) == request.config.getoption("--rows") + 1000
    assert seconds < SOON
