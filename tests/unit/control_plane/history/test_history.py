"""What the history remembers, how much of it, and what of it is forgotten."""

import sqlite3
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.config.inputs import Inputs
from control_plane.history.database import HistoryUnavailable
from control_plane.history.entries import Entry, NodeResult, Pin, Result
from control_plane.history.history import MOST_NODES, History
from tests.support.clock import StillClock

PATH = Path("/etc/tollgate/gateway.yaml")
SECRET = Path("/etc/tollgate/secret")


def inputs(text: str = "a", secret: str = "s", **variables: str) -> Inputs:
    return Inputs(PATH, {PATH: text.encode()}, {SECRET: secret.encode()}, variables)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


@pytest.fixture
def clock() -> StillClock:
    return StillClock(1000.0)


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def history(file: Path, clock: StillClock, warned: list[str]) -> Iterator[History]:
    opened = History(file, kept=3, clock=clock, warn=warned.append)
    yield opened
    opened.close()
    assert warned == []


def reopened(history: History, file: Path, clock: StillClock) -> History:
    history.close()
    return History(file, kept=3, clock=clock, warn=pytest.fail)


def live(history: History, read: Inputs) -> int:
    return history.accepted(str(PATH), read, read.digest, Result.LIVE, ())


def refused(history: History, read: Inputs) -> int:
    return history.accepted(str(PATH), read, read.digest, Result.REFUSED, ())


def everything(file: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file.parent.iterdir())


def test_an_entry_says_what_when_and_how_it_went(history: History, clock: StillClock) -> None:
    read = inputs("a")
    history.accepted("the environment", read, read.digest, Result.HELD, ("route pay", "upstream api"))

    expected = Entry(1, 1000.0, "the environment", read.digest, Result.HELD, ("route pay", "upstream api"))
    assert history.entry(1) == expected
    assert history.entry(2) is None


def test_the_newest_come_first_and_no_more_than_asked_for(history: History) -> None:
    for text in "abc":
        live(history, inputs(text))

    assert [entry.number for entry in history.entries(2)] == [3, 2]
    assert history.entries(0) == ()


def test_the_same_content_again_is_the_same_entry_with_the_new_result(history: History, clock: StillClock) -> None:
    first = refused(history, inputs("a"))
    clock.advance(5)

    assert live(history, inputs("a")) == first
    assert [(entry.at, entry.result) for entry in history.entries(9)] == [(1000.0, Result.LIVE)]


def test_what_comes_back_after_something_else_is_a_new_entry(history: History) -> None:
    assert [live(history, inputs(text)) for text in "aba"] == [1, 2, 3]


@pytest.mark.parametrize("secret", ["file", "variable"])
def test_a_new_secret_is_a_new_entry_with_the_same_texts(history: History, secret: str) -> None:
    live(history, inputs("a", "s", TOKEN="t"))
    changed = inputs("a", "S", TOKEN="t") if secret == "file" else inputs("a", "s", TOKEN="T")

    assert live(history, changed) == 2
    assert history.texts(1) == history.texts(2)


def test_the_texts_of_an_entry_have_their_names(history: History) -> None:
    names = ("/etc/t/a.yaml", "/etc/t/d\udcff.yaml")
    read = Inputs(Path("/etc/t"), {Path(name): f"# {index}\n".encode() for index, name in enumerate(names)})

    assert history.texts(live(history, read)) == {names[0]: b"# 0\n", names[1]: b"# 1\n"}
    assert history.texts(9) is None


def test_everything_is_there_after_a_restart(history: History, file: Path, clock: StillClock) -> None:
    read = inputs("a", "s", TOKEN="t", ODD="\udcff")
    live(history, read)
    history.judged(1, "envoy-1", accepted=True, reason="")
    history.pin(1, "d1")
    before = (history.entries(9), history.texts(1), history.last_good(), history.pinned())

    with_it = reopened(history, file, clock)
    after = (with_it.entries(9), with_it.texts(1), with_it.last_good(), with_it.pinned())
    with_it.close()

    assert after == before
    assert after[2] == read
    assert after[3] == Pin(1, "d1", 1000.0)


def test_each_node_has_its_last_verdict_and_the_time_of_its_first_such(history: History, clock: StillClock) -> None:
    live(history, inputs("a"))
    history.judged(1, "envoy-1", accepted=False, reason="bad\udcff")
    history.judged(1, "envoy-2", accepted=True, reason="")
    clock.advance(5)
    history.judged(1, "envoy-2", accepted=True, reason="")
    history.all_judged(1, [("envoy-1", True, ""), ("authz", True, "")])

    entry = history.entry(1)
    assert entry is not None
    assert entry.nodes == (
        NodeResult("authz", accepted=True, reason="", at=1005.0),
        NodeResult("envoy-1", accepted=True, reason="", at=1005.0),
        NodeResult("envoy-2", accepted=True, reason="", at=1000.0),
    )


def test_a_verdict_of_an_entry_that_is_gone_is_nothing(history: History) -> None:
    history.judged(7, "envoy-1", accepted=True, reason="")
    history.decided(7, inputs(), Result.LIVE, ())

    assert history.entries(9) == ()


def test_nodes_that_come_and_go_are_bounded_and_the_newest_stay(history: History, clock: StillClock) -> None:
    live(history, inputs("a"))
    history.all_judged(1, [(f"old-{index}", True, "") for index in range(MOST_NODES)])
    clock.advance(5)
    history.judged(1, "new", accepted=False, reason="x" * 10_000)

    entry = history.entry(1)
    assert entry is not None
    assert len(entry.nodes) == MOST_NODES
    assert [len(node.reason) for node in entry.nodes if node.node == "new"] == [4096]


def test_the_last_good_is_the_newest_that_was_live_in_whole(history: History) -> None:
    good = inputs("a")
    live(history, good)
    for text, result in (("b", Result.REFUSED), ("c", Result.SENT), ("d", Result.HELD)):
        history.accepted(str(PATH), inputs(text), inputs(text).digest, result, ())

    assert history.last_good() == good


def test_a_configuration_is_good_once_its_nodes_have_judged_it(history: History) -> None:
    read = inputs("a")
    number = history.accepted(str(PATH), read, read.digest, Result.SENT, ())
    assert history.last_good() is None

    history.decided(number, read, Result.LIVE, ())

    assert history.last_good() == read


def test_a_late_verdict_on_an_older_one_does_not_bring_it_back(history: History) -> None:
    older = history.accepted(str(PATH), inputs("a"), inputs("a").digest, Result.SENT, ())
    live(history, inputs("b"))

    history.decided(older, inputs("a"), Result.LIVE, ())

    assert history.last_good() == inputs("b")


def test_what_turned_out_bad_is_nothing_to_start_from(history: History) -> None:
    number = live(history, inputs("a"))

    history.decided(number, inputs("a"), Result.REFUSED, ("route pay",))

    assert history.last_good() is None
    entry = history.entry(number)
    assert entry is not None
    assert (entry.result, entry.held) == (Result.REFUSED, ("route pay",))


@pytest.mark.parametrize("pinned", [False, True])
def test_old_entries_go_but_for_the_good_and_the_pinned(history: History, pinned: bool) -> None:
    live(history, inputs("1"))
    live(history, inputs("2"))
    history.pin(1 if pinned else None, "d")
    for text in "345678":
        refused(history, inputs(text))

    assert [entry.number for entry in history.entries(9)] == [8, 7, 6, 2, *([1] if pinned else [])]
    assert history.texts(2) == {str(PATH): b"2"}
    assert history.texts(3) is None


def test_an_entry_that_is_no_longer_pinned_goes(history: History) -> None:
    live(history, inputs("1"))
    history.pin(1, "d")
    for text in "2345":
        live(history, inputs(text))
    history.pin(None, "")
    live(history, inputs("6"))

    assert history.pinned() is None
    assert [entry.number for entry in history.entries(9)] == [6, 5, 4]


def test_a_rollback_to_nothing_changes_nothing(history: History) -> None:
    live(history, inputs("1"))
    history.pin(1, "d")

    with pytest.raises(HistoryUnavailable, match="there is no entry 7"):
        history.pin(7, "d")

    assert history.pinned() == Pin(1, "d", 1000.0)


def test_numbers_are_never_used_again(history: History, file: Path, clock: StillClock) -> None:
    for text in "12345":
        live(history, inputs(text))
    again = reopened(history, file, clock)

    assert live(again, inputs("6")) == 6
    again.close()


def test_an_edit_of_one_file_stores_one_file(history: History, file: Path) -> None:
    files = {Path(f"/etc/t/{index}.yaml"): f"# {index}\n".encode() for index in range(100)}
    live(history, Inputs(Path("/etc/t"), files))
    live(history, Inputs(Path("/etc/t"), {**files, Path("/etc/t/7.yaml"): b"# new\n"}))
    history.close()

    with sqlite3.connect(file) as connection:
        stored = connection.execute("SELECT count(*) FROM contents").fetchone()[0]
    connection.close()
    assert stored == 101


def test_nothing_of_dropped_entries_stays(history: History, file: Path) -> None:
    for text in "123456":
        live(history, inputs(text))
    history.close()

    with sqlite3.connect(file) as connection:
        left = connection.execute("SELECT (SELECT count(*) FROM contents), (SELECT count(*) FROM files)").fetchone()
    connection.close()
    assert left == (4, 4)  # three texts and a secret


def test_superseded_secrets_are_nowhere_any_more(history: History, file: Path) -> None:
    packed, variable = zlib.compress(b"first-secret"), b"first-token"
    live(history, inputs("a", "first-secret", TOKEN="first-token"))
    assert packed in everything(file)
    assert variable in everything(file)

    live(history, inputs("b", "second-secret", TOKEN="second-token"))

    assert packed not in everything(file)
    assert variable not in everything(file)


def test_all_of_it_is_private(history: History, file: Path) -> None:
    live(history, inputs("a"))
    history.judged(1, "envoy-1", accepted=True, reason="")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (file.parent, *file.parent.iterdir())}
    assert modes == {"state": 0o700, **dict.fromkeys((file.name, f"{file.name}-wal", f"{file.name}-shm"), 0o600)}


def test_a_file_that_others_could_read_is_made_private(history: History, file: Path, clock: StillClock) -> None:
    live(history, inputs("a"))
    history.close()
    file.chmod(0o644)
    again = reopened(history, file, clock)

    assert again.entry(1) is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again.close()
