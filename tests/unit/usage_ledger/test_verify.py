"""What was done to a ledger behind its back is found, and where."""

import json

import pytest
from sqlalchemy import String, delete, insert, select, update

from tests.support.ledger import Ledger, metered, row
from usage_ledger.book import Head
from usage_ledger.chain import FIELDS, link, said
from usage_ledger.heads import BadHeads, as_json, read
from usage_ledger.tables import HOURS, ROWS, WRITERS
from usage_ledger.verify import verify

COUNT = 12


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    made = Ledger(tmp_path)
    made.write(*(metered(number) for number in range(COUNT)))
    made.read()
    return made


def shift(db, first: int, by: int) -> None:
    """Numbers of the rows from the first on, higher or lower."""
    db.execute(update(ROWS).where(ROWS.c.seq >= first).values(seq=ROWS.c.seq + 1000))
    db.execute(update(ROWS).where(ROWS.c.seq >= 1000).values(seq=ROWS.c.seq - 1000 + by))


def change(db) -> None:
    db.execute(update(ROWS).where(ROWS.c.seq == 5).values(amount=1))


def remove(db) -> None:
    db.execute(delete(ROWS).where(ROWS.c.seq.between(4, 5)))


def remove_and_close_the_gap(db) -> None:
    db.execute(delete(ROWS).where(ROWS.c.seq == 5))
    shift(db, 6, -1)


def cut_off(db) -> None:
    db.execute(delete(ROWS).where(ROWS.c.seq > 9))


def put_in(db) -> None:
    shift(db, 5, 1)
    copied = db.execute(select(ROWS).where(ROWS.c.seq == 4)).one()._asdict()
    db.execute(insert(ROWS).values(**{**copied, "seq": 5, "key": b"other", "hash": b"other"}))


def put_in_with_a_hash(db) -> None:
    put_in(db)
    rows = {item.seq: item for item in db.execute(select(ROWS))}
    hashed = link(rows[4].hash, said([getattr(rows[5], name) for name in FIELDS]))
    db.execute(update(ROWS).where(ROWS.c.seq == 5).values(hash=hashed))


def put_behind(db) -> None:
    copied = db.execute(select(ROWS).where(ROWS.c.seq == COUNT)).one()._asdict()
    hashed = link(copied["hash"], said([copied[name] for name in FIELDS]))
    db.execute(insert(ROWS).values(**{**copied, "seq": COUNT + 1, "key": b"other", "hash": hashed}))


def swap(db) -> None:
    for old, new in ((5, 100), (6, 5), (100, 6)):
        db.execute(update(ROWS).where(ROWS.c.seq == old).values(seq=new))


def give_to_nobody(db) -> None:
    db.execute(update(ROWS).where(ROWS.c.seq == COUNT).values(writer=99))
    db.execute(
        update(WRITERS).values(seq=COUNT - 1, hash=select(ROWS.c.hash).where(ROWS.c.seq == COUNT - 1).scalar_subquery())
    )


TAMPERINGS = [
    (change, {("changed", 5, 5)}),
    (remove, {("removed", 4, 5)}),
    (remove_and_close_the_gap, {("changed", 5, 5), ("removed", COUNT, COUNT)}),
    (cut_off, {("removed", 10, COUNT)}),
    (put_in, {("inserted", 5, 5), ("inserted", COUNT + 1, COUNT + 1)}),
    (put_in_with_a_hash, {("inserted", 5, 5), ("inserted", COUNT + 1, COUNT + 1)}),
    (put_behind, {("inserted", COUNT + 1, COUNT + 1)}),
    (swap, {("reordered", 5, 5), ("reordered", 6, 6), ("reordered", 7, 7)}),
    (give_to_nobody, {("inserted", COUNT, COUNT)}),
]


def test_a_ledger_as_it_was_written_is_right(ledger):
    verified = ledger.verified()

    assert (verified.rows, verified.findings) == (COUNT, ())
    assert verified.heads == (Head("one", COUNT, ledger.rows()[-1].hash),)


@pytest.mark.parametrize(("tampering", "wanted"), [pytest.param(*item, id=item[0].__name__) for item in TAMPERINGS])
def test_what_was_done_is_found(ledger, tampering, wanted):
    ledger.run(tampering, changes=True)

    found = {(item.kind, item.first, item.last) for item in ledger.verified().findings if item.kind != "sums"}
    assert found == wanted


def test_no_column_can_be_changed(ledger):
    def found(db) -> set[str]:
        return {
            name for name in FIELDS if changed(db, name, "tampered" if isinstance(ROWS.c[name].type, String) else 7)
        }

    def changed(db, column: str, value: str | int) -> bool:
        with db.begin_nested() as nested:
            db.execute(update(ROWS).where(ROWS.c.seq == 3).values({column: value}))
            findings = verify(db).findings
            nested.rollback()
        return ("changed", 3) in {(item.kind, item.first) for item in findings}

    assert ledger.run(found, changes=True) == set(FIELDS)


def test_that_the_end_was_cut_off_tells_an_end_that_was_kept(ledger):
    kept = read((ledger.folder / "head").read_text())

    def rewrite(db):
        """All that the database says of the last rows is gone."""
        cut_off(db)
        last = db.execute(select(ROWS).where(ROWS.c.seq == 9)).one()
        db.execute(update(WRITERS).values(seq=9, hash=last.hash))

    ledger.run(rewrite, changes=True)

    assert not [item for item in ledger.verified().findings if item.kind != "sums"]
    found = {(item.kind, item.first, item.last) for item in ledger.verified(kept).findings if item.kind != "sums"}
    assert found == {("removed", 10, COUNT)}


def test_a_chain_that_was_made_anew_is_not_the_one_that_was_kept(ledger):
    kept = read((ledger.folder / "head").read_text())
    other = [Head("one", COUNT, b"x" * 32), Head("two", 3, b"")]

    assert ledger.verified(kept).findings == ()
    found = {(item.writer, item.kind, item.last) for item in ledger.verified(other).findings}
    assert found == {("one", "changed", COUNT), ("two", "removed", 3)}


def test_sums_that_are_not_those_of_the_rows_are_found(ledger):
    ledger.run(lambda db: db.execute(update(HOURS).values(amount=HOURS.c.amount - 1)), changes=True)

    (found,) = ledger.verified().findings
    assert (found.kind, "amount 839999 where the rows say 840000" in found.said) == ("sums", True)


def test_chains_of_two_writers_are_looked_at_apart(ledger):
    other = Ledger(ledger.folder, writer="two")
    other.log = ledger.folder / "other.log"
    other.write(row(0), row(1))
    other.read()

    assert [head.seq for head in ledger.verified().heads] == [COUNT, 2]
    assert ledger.verified().findings == ()


@pytest.mark.parametrize("text_", ["{}", "no JSON", '{"writer": "a", "seq": "x", "hash": ""}', "[]"])
def test_a_file_that_holds_no_ends(text_):
    with pytest.raises(BadHeads):
        read(text_)


def test_ends_are_read_as_they_are_printed():
    head = Head("one", 7, b"\x01" * 32)
    assert read(json.dumps(as_json(head))) == (head,)


def test_each_end_that_was_kept_counts_whichever_came_last(ledger):
    """Who makes a chain anew may add its end to those that are kept."""
    (kept,) = read((ledger.folder / "head").read_text())
    honest, forged = Head("one", COUNT, b"x" * 32), kept

    found = ledger.verified([honest, forged]).findings
    assert [(item.kind, item.last) for item in found] == [("changed", COUNT)]


@pytest.mark.parametrize("number", [0, 5])
def test_a_row_of_nobody_is_found(ledger, number):
    ledger.run(lambda db: db.execute(update(ROWS).where(ROWS.c.seq == 7).values(writer=number)), changes=True)

    assert (f"number {number}", "inserted", 7) in {(i.writer, i.kind, i.first) for i in ledger.verified().findings}
