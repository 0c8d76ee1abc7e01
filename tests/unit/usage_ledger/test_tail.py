"""Each row once: whatever happens to files and processes in between."""

import json
import os
import shutil

import pytest

from tests.support.ledger import Ledger, lines, metered, row, unsettled
from usage_ledger.files import HEAD


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path)


def once(count: int) -> dict[str, int]:
    return {row(number)["request_id"]: 1 for number in range(count)}


def test_rows_are_added_as_they_are_written(ledger):
    tail = ledger.tail()
    for number in range(3):
        ledger.write(row(number))
        tail.step()

    assert ledger.calls() == once(3)
    assert ledger.registry.get_sample_value("tollgate_ledger_head") == 3


def test_a_process_goes_on_where_another_one_ended(ledger):
    for number in range(3):
        ledger.write(row(number))
        ledger.read()

    assert ledger.calls() == once(3)
    assert ledger.verified().findings == ()


def test_a_line_is_read_when_it_is_whole(ledger):
    tail = ledger.tail()
    text = lines([row(0)])
    for sign in text[:-1]:
        ledger.append(sign)
        assert not tail.step()
    ledger.append(text[-1])
    tail.step()

    assert ledger.calls() == once(1)
    assert not ledger.quarantined()


def test_bad_lines_stop_nothing_and_are_kept(ledger):
    ledger.write(row(0))
    ledger.append(b"\xff\xfe?token=hunter2\n" + b"\0" * 100 + b"\n\n")
    ledger.write(row(1))
    ledger.read()

    assert ledger.calls() == once(2)
    assert {item.size for item in ledger.quarantined()} == {16, 100}
    assert not any(b"hunter2" in item.line for item in ledger.quarantined())


def test_a_line_without_an_end_is_no_row(ledger):
    ledger.append(b"x" * (3 << 20))
    ledger.write({})
    ledger.write(row(0))
    ledger.read()

    assert ledger.calls() == once(1)


def test_a_renamed_file_is_read_to_its_end(ledger):
    """Envoy writes it until it opens the next."""
    tail = ledger.tail()
    ledger.write(row(0))
    tail.step()
    old = ledger.log.rename(ledger.folder / "access.log.1")
    ledger.write(row(1))
    tail.step()
    with old.open("a") as file:
        file.write(lines([row(2)]))
    tail.step()

    assert ledger.calls() == once(3)


def test_files_that_were_renamed_while_nobody_read(ledger):
    ledger.write(row(0))
    ledger.read()
    for number in (1, 2, 3):
        ledger.write(row(number))
        for old in range(number, 0, -1):
            source = ledger.folder / ("access.log" if old == 1 else f"access.log.{old - 1}")
            source.rename(ledger.folder / f"access.log.{old}")
    ledger.write(row(4))
    ledger.read()

    assert ledger.calls() == once(5)


def test_a_file_that_is_deleted_is_read_to_its_end(ledger):
    tail = ledger.tail()
    ledger.write(row(0))
    tail.step()
    with ledger.log.open("a") as still_open:
        ledger.log.unlink()
        still_open.write(lines([row(1)]))
        still_open.flush()
        tail.step()
        still_open.write(lines([row(2)]))
    ledger.write(row(3))
    tail.step()

    assert ledger.calls() == once(4)


@pytest.mark.parametrize("meanwhile", [0, 1, 200], ids=["shorter", "nearly as long", "longer than before"])
def test_a_file_that_is_copied_and_truncated(ledger, meanwhile):
    tail = ledger.tail()
    ledger.write(*map(row, range(10)))
    tail.step()
    ledger.write(row(10))
    shutil.copy(ledger.log, ledger.folder / "access.log.1")
    os.truncate(ledger.log, 0)
    ledger.write(*map(row, range(11, 12 + meanwhile)))
    tail.finish()

    assert ledger.calls() == once(12 + meanwhile)


def test_a_log_that_is_read_again_adds_nothing(ledger):
    ledger.write(*map(row, range(10)))
    ledger.read()
    shutil.copy(ledger.log, ledger.folder / "access.log-20300101")
    ledger.read()

    assert ledger.calls() == once(10)
    assert ledger.sums()[()]["calls"] == 10
    assert ledger.registry.get_sample_value("tollgate_ledger_known_total") == 10


def test_a_row_that_is_written_twice_counts_once(ledger):
    ledger.write(row(0), row(0), row(0))
    ledger.read()

    assert ledger.calls() == once(1)


def test_packed_files_are_not_read(ledger):
    ledger.write(row(0))
    (ledger.folder / "access.log.2.gz").write_text(lines([row(1)]))
    (ledger.folder / "access.logs").write_text(lines([row(2)]))
    ledger.read()

    assert ledger.calls() == once(1)


def test_short_files_are_told_apart(ledger):
    """Their first bytes are all that is known of them."""
    ledger.append(b"\n")
    ledger.read()
    ledger.log.write_text(lines([row(0)]))
    ledger.read()
    assert HEAD > 1
    assert ledger.calls() == once(1)


def test_files_that_begin_alike_are_told_apart(ledger):
    """Envoy sorts the keys of a line: what no other has, its id and its time, stands behind much that many have."""

    def line(number: int) -> str:
        return lines([{"endpoint": "127.0.0.1:9001" * 20, **row(number)}])

    tail = ledger.tail()
    ledger.append(line(0))
    tail.step()
    os.truncate(ledger.log, 0)
    ledger.append(line(1) + line(2))
    tail.finish()

    assert ledger.calls() == once(3)


def test_a_file_that_cannot_be_read_is_no_end(ledger):
    old = ledger.folder / "access.log.1"
    ledger.write(row(0))
    tail = ledger.tail()
    old.symlink_to(old)
    assert not tail.step()
    assert tail.failing
    old.unlink()
    tail.finish()

    assert ledger.calls() == once(1)
    assert not tail.failing


def test_nothing_waits_for_a_log_that_is_not_there_yet(ledger):
    tail = ledger.tail()
    assert not tail.step()
    ledger.write(row(0))
    assert tail.step()


@pytest.mark.parametrize("first", ["event", "row"])
def test_a_call_counts_in_place_of_its_hold(ledger, first):
    def event():
        ledger.tell(unsettled(0))

    def call():
        ledger.write(metered(0))

    for happens in (event, call) if first == "event" else (call, event):
        happens()
        ledger.read()

    sums = ledger.sums()[()]
    assert (sums["calls"], sums["amount"], sums["tokens_out"], sums["unsettled"]) == (1, 70_000, 200, 0)
    assert ledger.verified().findings == ()
    assert [(item.kind, item.settles) for item in ledger.rows()] == (
        [("unsettled", 0), ("call", 1)] if first == "event" else [("call", 0)]
    )


def test_a_hold_without_a_call_is_charged_once(ledger):
    ledger.tell(unsettled(0), unsettled(0), {"type": "other"})
    ledger.read()
    ledger.tell(unsettled(0))
    ledger.read()

    sums = ledger.sums("consumer")["acme",]
    assert (sums["unsettled"], sums["amount"], sums["tokens_out"]) == (1, 5000, 4096)


def test_the_end_of_the_chain_is_kept_beside_the_database(ledger):
    ledger.write(*map(row, range(3)))
    ledger.read()

    kept = json.loads((ledger.folder / "head").read_text())
    assert (kept["writer"], kept["seq"], kept["hash"]) == ("one", 3, ledger.rows()[-1].hash.hex())


def test_a_database_that_cannot_be_used_costs_no_row(ledger):
    ledger.write(row(0))
    (ledger.folder / "ledger.sqlite").mkdir()
    tail = ledger.tail()
    assert not tail.step()
    assert ledger.registry.get_sample_value("tollgate_ledger_database_up") == 0

    (ledger.folder / "ledger.sqlite").rmdir()
    assert tail.step()
    assert ledger.calls() == once(1)
