"""Rows that are old enough go, and nothing that proves the others goes with them."""

import pytest
import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import delete, update

from service_kit.contract import AUTHZ_POLICY_TYPE, LEDGER_POLICY_NAME, LEDGER_POLICY_TYPE
from service_kit.subscription import PolicyRejected
from tests.support.ledger import Ledger, row
from tollgate_pb.tollgate.policy.v1.policy_pb2 import LedgerPolicy
from usage_ledger.database import Database
from usage_ledger.following import Following
from usage_ledger.metrics import LedgerMetrics
from usage_ledger.policy import USUAL_RETENTION, RetentionPolicy
from usage_ledger.retention import remove_one
from usage_ledger.tables import ROWS, SEGMENTS

DAY = 86_400


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """Three rows a day, on three days."""
    made = Ledger(tmp_path)
    for day in range(3):
        made.write(*(row(10 * day + number, time=f"2023-11-{14 + day}T12:00:00Z") for number in range(3)))
        made.read()
        made.clock.advance(DAY)
    return made


def remove(ledger: Ledger, day: int) -> list[int]:
    """How many rows each segment had that is from before the 14th and so many days."""
    before, removed = (1_699_920_000 + day * DAY) * 1000, []
    while (count := ledger.run(lambda db: remove_one(db, "one", before, 0), changes=True)) is not None:
        removed.append(count)
    return removed


@pytest.mark.parametrize(("day", "removed"), [(0, []), (1, [3]), (2, [3, 3]), (9, [3, 3])])
def test_whole_segments_go_but_the_last(ledger, day, removed):
    before = ledger.sums("day")

    assert remove(ledger, day) == removed
    verified = ledger.verified()
    assert (verified.rows, verified.removed, verified.findings) == (9 - sum(removed), sum(removed), ())
    assert ledger.sums("day") == before


def test_what_was_removed_does_not_come_back(ledger):
    remove(ledger, 2)
    ledger.log.rename(ledger.folder / "access.log.1")
    (ledger.folder / "access.log-copy").write_bytes((ledger.folder / "access.log.1").read_bytes())
    ledger.read()

    assert len(ledger.rows()) == 3
    assert ledger.sums()[()]["calls"] == 9


def test_rows_go_on_behind_the_last(ledger):
    remove(ledger, 9)
    ledger.write(row(99, time="2023-11-17T12:00:00Z"))
    ledger.read()

    assert [item.seq for item in ledger.rows()] == [7, 8, 9, 10]
    assert ledger.verified().findings == ()


def test_what_was_removed_by_hand_is_found(ledger):
    remove(ledger, 1)
    ledger.run(lambda db: db.execute(delete(ROWS).where(ROWS.c.seq <= 6)), changes=True)

    found = {(item.kind, item.first, item.last) for item in ledger.verified().findings if item.kind != "sums"}
    assert found == {("removed", 4, 6)}


def test_what_is_said_to_have_gone_must_be_a_chain(ledger):
    remove(ledger, 2)
    ledger.run(lambda db: db.execute(update(SEGMENTS).where(SEGMENTS.c.first == 4).values(before=b"x")), changes=True)

    assert {(item.kind, item.first) for item in ledger.verified().findings} == {("removed", 4)}


def policy(**fields) -> bytes:
    return LedgerPolicy(**fields).SerializeToString()


def test_the_configuration_says_how_long():
    retention = RetentionPolicy()
    retention.apply(LEDGER_POLICY_TYPE, {}, ())
    assert retention.seconds == USUAL_RETENTION
    retention.apply(LEDGER_POLICY_TYPE, {LEDGER_POLICY_NAME: policy(retention_seconds=DAY)}, ())
    assert retention.seconds == DAY
    retention.apply(LEDGER_POLICY_TYPE, {}, ())
    assert retention.seconds == DAY
    retention.apply(LEDGER_POLICY_TYPE, {}, [LEDGER_POLICY_NAME])
    assert retention.seconds == USUAL_RETENTION


@pytest.mark.parametrize(
    ("type_url", "name", "body"),
    [
        (AUTHZ_POLICY_TYPE, LEDGER_POLICY_NAME, b""),
        (LEDGER_POLICY_TYPE, "other", b""),
        (LEDGER_POLICY_TYPE, LEDGER_POLICY_NAME, b"\xff"),
        (LEDGER_POLICY_TYPE, LEDGER_POLICY_NAME, b""),
    ],
)
def test_what_is_no_policy_of_ours_is_refused(type_url, name, body):
    with pytest.raises(PolicyRejected):
        RetentionPolicy().apply(type_url, {name: body}, ())


async def test_nothing_goes_before_somebody_has_said_how_long(ledger):
    """A process that starts without what it was told once may be one whose rows are to be kept for ten years."""
    retention, log = RetentionPolicy(), structlog.get_logger()
    ledger.clock.advance(USUAL_RETENTION)
    database, metrics = Database(ledger.url, changes=True), LedgerMetrics(CollectorRegistry())
    following = Following(
        database, ledger.tail(database), "one", retention, metrics=metrics, clock=ledger.clock, log=log
    )
    assert not following.clean()
    retention.apply(LEDGER_POLICY_TYPE, {}, ())
    assert following.clean()
    await following.finish()
    database.close()


def of_another_writer(ledger: Ledger) -> Ledger:
    """One whose only row is as old as the oldest of the first."""
    other = Ledger(ledger.folder, writer="pod-7c9f")
    other.log = ledger.folder / "other.log"
    other.write(row(70, time="2023-11-14T12:00:00Z"))
    other.read()
    return other


def test_rows_of_a_writer_that_is_no_more_go_as_well(ledger):
    of_another_writer(ledger)

    assert remove(ledger, 1) == [3, 1]
    assert (ledger.verified().removed, ledger.verified().findings) == (4, ())


def test_not_those_of_one_that_goes_on(ledger):
    """Another gateway may keep its rows for longer."""
    other = of_another_writer(ledger)
    other.clock.advance(DAY)
    other.write(row(71, time="2023-11-16T12:00:00Z"))
    other.read()

    assert remove(ledger, 1) == [3]


def test_a_writer_that_comes_back_goes_on_behind_what_went(ledger):
    other = of_another_writer(ledger)
    remove(ledger, 1)
    other.write(row(70, time="2023-11-14T12:00:00Z"), row(72, time="2023-11-17T12:00:00Z"))
    other.read()

    assert [item.seq for item in other.rows() if item.request_id.endswith("72")] == [2]
    assert ledger.verified().findings == ()


def test_it_is_told_until_when_rows_went(ledger):
    remove(ledger, 1)

    assert ledger.verified().removed_until == 1_699_963_200_000
