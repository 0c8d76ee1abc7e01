"""The audit trail in the ledger: every event once, in a chain of its own, whatever is done behind its back found."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import delete, insert, select, update

from service_kit.audit import AuditEvent, Result, line
from tests.support.ledger import Ledger, row
from usage_ledger.audit.book import ends
from usage_ledger.audit.reports import Asked
from usage_ledger.book import Head
from usage_ledger.tables import AUDIT, AUDIT_CHAINS, WRITERS

DAY = 86_400.0


def event(number: int, **fields) -> AuditEvent:
    facts = {"old": {"plan": "a"}, "new": {"plan": "b"}, "result": Result.DONE}
    made = AuditEvent(f"id-{number}", 1_700_000_000.0 + number, "admin", "grpc unix", "key.revoke", f"key k{number}")
    return replace(made, **{**facts, **fields})


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def test_each_act_is_a_row_once(ledger):
    ledger.write(row(1))
    ledger.audit(event(1, result=Result.BEGUN), event(1), event(2), event(1, why="said again"))
    ledger.read()
    ledger.audit_log.rename(ledger.folder / "audit.jsonl.1")
    ledger.audit(event(2), event(3, result=Result.REFUSED, why="no such key"))
    ledger.read()

    assert [(told.seq, told.entry.id, told.entry.why) for told in ledger.trail()] == [
        (1, "id-1", ""), (2, "id-2", ""), (3, "id-3", "no such key"),
    ]  # fmt: skip
    assert (ledger.trail_verified().findings, ledger.verified().findings) == ((), ())
    assert json.loads((ledger.folder / "audit.head").read_text())["seq"] == 3


def test_what_is_no_event_is_put_aside(ledger):
    ledger.audit(event(1))
    with ledger.audit_log.open("ab") as file:
        file.write(b"{}\n\xff\n" + line(event(2))[:50])
    ledger.read()
    ledger.audit(event(3))  # behind what was never finished
    ledger.read()

    assert len(ledger.quarantined()) == 3
    assert [told.entry.id for told in ledger.trail()] == ["id-1", "id-3"]


def test_strange_names_are_kept(ledger):
    ledger.audit(event(1, object="a\0b\ud800", new={"name": "\0\ud800"}))
    ledger.read()

    (told,) = ledger.trail()
    assert (told.entry.object, json.loads(told.entry.new)) == ("a\ufffdb?", {"name": "\0\ud800"})
    assert ledger.trail_verified().findings == ()


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        pytest.param(Asked(), [1, 2, 3], id="all"),
        pytest.param(Asked(limit=2), [2, 3], id="the-newest"),
        pytest.param(Asked(actor="file"), [2], id="actor"),
        pytest.param(Asked(action="key.*"), [1, 3], id="action"),
        pytest.param(Asked(object="key k3"), [3], id="object"),
        pytest.param(Asked(result="refused"), [3], id="result"),
        pytest.param(Asked(begin=1_700_000_002_000, end=1_700_000_003_000), [2], id="time"),
    ],
)
def test_some_of_it(ledger, asked, ids):
    other = {"actor": "file", "action": "configuration.accepted"}
    ledger.audit(event(1), event(2, **other), event(3, result=Result.REFUSED))
    ledger.read()

    assert [told.entry.id for told in ledger.trail(asked)] == [f"id-{number}" for number in ids]


def change(db) -> None:
    db.execute(update(AUDIT).where(AUDIT.c.seq == 5).values(actor="somebody else"))


def remove(db) -> None:
    db.execute(delete(AUDIT).where(AUDIT.c.seq.between(4, 5)))


def cut_off(db) -> None:
    db.execute(delete(AUDIT).where(AUDIT.c.seq > 9))


def put_behind(db) -> None:
    last = db.execute(select(AUDIT).where(AUDIT.c.seq == 12)).one()._asdict()
    db.execute(insert(AUDIT).values(**{**last, "seq": 13, "id": "other"}))


def swap(db) -> None:
    for old, new in ((3, 99), (4, 3), (99, 4)):
        db.execute(update(AUDIT).where(AUDIT.c.seq == old).values(seq=new))


def pretend_that_they_were_old(db) -> None:
    third = db.execute(select(AUDIT.c.hash).where(AUDIT.c.seq == 3)).scalar_one()
    db.execute(delete(AUDIT).where(AUDIT.c.seq <= 3))
    db.execute(update(AUDIT_CHAINS).values(gone=3, gone_hash=third))


def forget_the_writer(db) -> None:
    db.execute(delete(WRITERS))


def forget_the_chain(db) -> None:
    db.execute(delete(AUDIT_CHAINS))


@pytest.mark.parametrize(
    ("tampered", "kind", "rows"),
    [
        pytest.param(change, "changed", (5, 5), id="changed"),
        pytest.param(remove, "removed", (4, 5), id="removed"),
        pytest.param(cut_off, "removed", (10, 12), id="cut-off"),
        pytest.param(put_behind, "changed", (13, 13), id="put-behind"),
        pytest.param(swap, "changed", (3, 3), id="swapped"),
        pytest.param(pretend_that_they_were_old, "removed", (1, 3), id="removed-as-if-old"),
        pytest.param(forget_the_writer, "inserted", (1, 1), id="no-writer"),
        pytest.param(forget_the_chain, "inserted", (1, 1), id="no-chain"),
    ],
)
def test_what_was_done_to_it_is_found(ledger, tampered, kind, rows):
    ledger.audit(*map(event, range(12)))
    ledger.read()
    ledger.run(tampered, changes=True)

    found = ledger.trail_verified().findings
    assert (kind, *rows) in [(finding.kind, finding.first, finding.last) for finding in found]


def test_an_end_that_was_kept_tells_what_was_cut_off(ledger):
    ledger.audit(*map(event, range(3)))
    ledger.read()
    kept = ledger.run(ends)
    second = ledger.run(lambda db: db.execute(select(AUDIT.c.hash).where(AUDIT.c.seq == 2)).scalar_one())
    ledger.run(lambda db: db.execute(delete(AUDIT).where(AUDIT.c.seq == 3)), changes=True)
    ledger.run(lambda db: db.execute(update(AUDIT_CHAINS).values(seq=2, hash=second)), changes=True)

    assert ledger.trail_verified().findings == ()
    (found,) = ledger.trail_verified(kept).findings
    assert (found.kind, found.first, found.last) == ("removed", 3, 3)
    (gone,) = ledger.trail_verified([*ends_of("other")]).findings
    assert (gone.writer, gone.said) == ("other", "the whole chain is gone")


def test_an_end_that_somebody_else_keeps_beside_it_hides_nothing(ledger):
    ledger.audit(*map(event, range(3)))
    ledger.read()
    (end,) = ledger.run(ends)
    for kept in ([end, replace(end, hash=b"other")], [replace(end, hash=b"other"), end]):
        (found,) = ledger.trail_verified(kept).findings
        assert (found.kind, found.first, found.last) == ("changed", 1, 3)


def ends_of(writer: str) -> list[Head]:
    return [Head(writer, 1, b"")]


def test_what_is_old_goes_and_says_so(ledger):
    ledger.audit(*map(event, range(3)))
    ledger.read()
    ledger.clock.advance(1_000)
    ledger.audit(event(100_000))
    ledger.read()
    ledger.clock.advance(2 * DAY)
    assert not ledger.clean_trail(2 * DAY)  # a day later, all at once
    ledger.clock.advance(DAY - 900)
    assert ledger.clean_trail(2 * DAY)
    assert not ledger.clean_trail(2 * DAY)
    ledger.audit_log.rename(ledger.folder / "audit.jsonl.old")
    ledger.audit_log.write_bytes((ledger.folder / "audit.jsonl.old").read_bytes())  # read again from its beginning
    ledger.read()

    assert [told.entry.action for told in ledger.trail()] == ["key.revoke", "audit.expired"]
    found = ledger.trail_verified()
    assert (found.rows, found.removed, found.findings) == (2, 3, ())
    (other,) = ledger.trail_verified([Head(found.heads[0].writer, 3, b"other")]).findings  # of the last that went
    assert (other.kind, other.first, other.last) == ("changed", 1, 3)


def test_without_a_retention_everything_stays(ledger):
    ledger.audit(event(1))
    ledger.read()
    ledger.clock.advance(10_000 * DAY)

    assert not ledger.clean_trail(None)
