"""The ledger on SQLite and on a real PostgreSQL: the same rows, sums and proofs."""

import random
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from service_kit.audit import AuditEvent, Result
from tests.support.ledger import Ledger, as_of_the_first_version, metered, of_model, row, unsettled
from tests.support.ledger_crashes import prove
from usage_ledger.audit.reports import Asked
from usage_ledger.book import Head
from usage_ledger.database import Database
from usage_ledger.errors import LedgerUnavailable, LedgerUnusable
from usage_ledger.retention import remove_one
from usage_ledger.tables import HOURS


def test_rows_sums_and_proof(url, tmp_path):
    ledger = Ledger(tmp_path, url)
    ledger.tell(unsettled(3))
    ledger.write(row(0), row(1, consumer=None), metered(2), row(0))
    ledger.append(b"\xff\n")
    ledger.write(row(4, subject="a\0b\ud800"))
    ledger.read()
    ledger.write(metered(3), metered(3))
    ledger.read()

    assert sum(ledger.calls().values()) == 5
    assert {parts: sums["amount"] for parts, sums in ledger.sums("consumer").items()} == {("-",): 0, ("acme",): 140_000}
    assert (len(ledger.quarantined()), ledger.verified().findings) == (1, ())


# Of the first version's program, for the rows below.
END_OF_BEFORE = "e2368834e183391de53954f696fa938f73d73ecafe1c576d361e34a4851271f8"


def test_a_ledger_from_before_there_were_models_goes_on(url, tmp_path):
    ledger = Ledger(tmp_path, url)
    ledger.tell(unsettled(3))
    ledger.write(row(0), metered(1), metered(2, model="other"), metered(3))
    ledger.read()
    before = ledger.sums("day", "model")
    ledger.run(as_of_the_first_version, changes=True)
    with pytest.raises(LedgerUnusable, match="an older version of this program wrote it; start the ledger"):
        ledger.verified()

    ledger.write(of_model(5))
    ledger.read()

    proof = ledger.verified([Head("one", 4, bytes.fromhex(END_OF_BEFORE))])
    assert (proof.rows, proof.findings) == (5, ())
    day = {parts: sums["amount"] for parts, sums in ledger.sums("model", "upstream").items()}
    assert day == {("-", "-"): 0, ("llama3.1", "cloud"): 140_000, ("m", "-"): 140_000, ("other", "-"): 70_000}
    assert {parts: sums for parts, sums in ledger.sums("day", "model").items() if "llama3.1" not in parts} == before


def test_retention(url, tmp_path):
    ledger = Ledger(tmp_path, url)
    for number in range(2):
        ledger.write(row(number))
        ledger.read()
        ledger.clock.advance(86_400)

    later = 1_800_000_000_000
    assert ledger.run(lambda db: remove_one(db, "one", later, later), changes=True) == 1
    assert ledger.run(lambda db: remove_one(db, "one", later, later), changes=True) is None
    assert (ledger.verified().rows, ledger.verified().removed, ledger.verified().findings) == (1, 1, ())


def test_the_audit_trail(url, tmp_path):
    ledger = Ledger(tmp_path, url)
    for number in range(3):
        at = ledger.clock.now() + number
        ledger.audit(AuditEvent(f"id-{number}", at, "admin", "a\0b", "key.create", "key k", result=Result.DONE))
        ledger.read()
    assert [told.entry.origin for told in ledger.trail(Asked(action="key.*"))] == ["a\ufffdb"] * 3
    ledger.clock.advance(10 * 86_400)
    assert ledger.clean_trail(86_400)

    found = ledger.trail_verified()
    assert (found.rows, found.removed, found.findings) == (1, 3, ())


def test_kills_at_any_moment(url, tmp_path):
    prove(tmp_path, url, rounds=3, chance=random.Random(6))


@pytest.fixture
def fleet(postgres, tmp_path) -> list[Ledger]:
    url = postgres.new_database("ledger_of_a_fleet")
    ledgers = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        ledgers.append(Ledger(tmp_path / name, url, writer=name))
    return ledgers


def test_each_writer_of_a_fleet_has_an_audit_trail_of_its_own(fleet):
    for ledger in fleet:
        at = ledger.clock.now()
        ledger.audit(*(AuditEvent(f"{n}", at + n, ledger.writer, "b", "c", "d", result=Result.DONE) for n in range(9)))
    with ThreadPoolExecutor(len(fleet)) as pool:
        list(pool.map(lambda ledger: ledger.read(), fleet))

    found = fleet[0].trail_verified()
    assert {(head.writer, head.seq) for head in found.heads} == {("a", 9), ("b", 9), ("c", 9)}
    assert found.findings == ()
    assert {told.writer for told in fleet[0].trail()} == {"a", "b", "c"}
    fleet[0].clock.advance(10 * 86_400)
    assert [fleet[0].clean_trail(86_400) for _ in range(4)] == [True, True, True, False]  # of those that are gone, too
    found = fleet[0].trail_verified()
    assert (found.rows, found.removed, found.findings) == (3, 27, ())


def test_writers_of_a_fleet_add_at_once(fleet):
    """A hold that one tells of and the call that another one logs are one, whoever comes first."""
    for number, ledger in enumerate(fleet):
        first = number * 100
        ledger.write(*(metered(first + n) for n in range(100)))
        ledger.tell(*(unsettled((first + 100 + n) % 300) for n in range(0, 100, 5)))
    with ThreadPoolExecutor(len(fleet)) as threads:
        for done in [threads.submit(ledger.read) for ledger in fleet]:
            done.result()

    (any_, *_others) = fleet
    sums = any_.sums()[()]
    assert (sums["calls"], sums["unsettled"], sums["amount"]) == (300, 0, 300 * 70_000)
    assert [head.seq >= 100 for head in any_.verified().heads] == [True, True, True]
    assert any_.verified().findings == ()


def test_who_reads_sees_one_moment(fleet):
    """Rows that come while a chain is read are no rows behind its end."""
    ledger = fleet[0]
    ledger.write(row(0))
    ledger.read()
    reader = Database(ledger.url, changes=False)

    def both(db):
        before = db.execute(select(HOURS.c.calls)).scalar_one()
        ledger.write(row(1))
        ledger.read()
        return before, db.execute(select(HOURS.c.calls)).scalar_one()

    assert reader.run(both) == (1, 1)
    assert reader.run(lambda db: db.execute(select(HOURS.c.calls)).scalar_one()) == 2
    reader.close()


def test_a_server_that_goes_away_costs_no_row(fleet, postgres):
    ledger = fleet[0]
    database = Database(ledger.url, changes=True)
    tail = ledger.tail(database)
    ledger.write(row(0))
    tail.step()
    postgres.stop(signal.SIGQUIT)
    ledger.write(row(1))
    assert not tail.step()
    with pytest.raises(LedgerUnavailable) as error:
        ledger.sums()
    assert "tollgate@" not in str(error.value)

    postgres.start()
    while not tail.step():
        pass
    database.close()
    assert sum(ledger.calls().values()) == 2
    assert ledger.verified().findings == ()
