"""Whatever becomes of the database, the control plane goes on: a new history, or HistoryUnavailable with the reason."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.config.inputs import Inputs
from control_plane.history.database import MOST_BROKEN, HistoryUnavailable
from control_plane.history.entries import Result
from control_plane.history.history import History
from tests.support.clock import StillClock

PATH = Path("/etc/tollgate/gateway.yaml")
ENTRIES = 20
WRITER = """
import sys
from pathlib import Path
from control_plane.config.inputs import Inputs
from control_plane.history.database import HistoryUnavailable
from control_plane.history.history import History
from service_kit.clock import SystemClock

history = History(Path(sys.argv[1]), kept=5, clock=SystemClock(), warn=print)
path = Path("/etc/tollgate/gateway.yaml")
for count in range(100_000):
    text = f"# {count} of {sys.argv[2]}".encode() * 3_000
    read = Inputs(path, {path: text}, {Path("/secret"): text}, {"TOKEN": str(count)})
    number = history.accepted("x", read, read.digest, "live", ())
    history.judged(number, "envoy", True, "")
    history.pin(number, read.source_digest)
    print(number, flush=True)
"""
# Writes until a file may not grow any more, as on a full disk, then says what happened and reads.
FULL = """
import resource, signal, sys
from pathlib import Path
from control_plane.config.inputs import Inputs
from control_plane.history.database import HistoryUnavailable
from control_plane.history.history import History
from service_kit.clock import SystemClock
import random

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
history = History(Path(sys.argv[1]), clock=SystemClock(), warn=print)
path = Path("/etc/tollgate/gateway.yaml")

def accept(size):
    read = Inputs(path, {path: random.randbytes(size)})
    return history.accepted("x", read, read.digest, "live", ())

assert accept(1_000) == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
try:
    accept(2_000_000)
except HistoryUnavailable as error:
    print("unavailable:", error.reason)
print(len(history.entries(9)), len(history.last_good().texts[path]))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(accept(2_000_000))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def history(file: Path, warned: list[str]) -> Iterator[History]:
    opened = History(file, clock=StillClock(), warn=warned.append)
    yield opened
    opened.close()


def accept(history: History, text: str) -> int:
    read = Inputs(PATH, {PATH: text.encode()}, {Path("/secret"): text.encode()})
    return history.accepted(str(PATH), read, read.digest, Result.LIVE, ())


def filled(history: History) -> None:
    for count in range(ENTRIES):
        accept(history, os.urandom(2_000).hex() + str(count))
    history.close()


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def cut_within_the_header(file: Path) -> None:
    os.truncate(file, 50)


def overwritten(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 64] = b"\xaa" * 64
    file.write_bytes(content)


def of_an_unknown_format(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[44:48] = b"\0\0\0\x63"
    file.write_bytes(content)


def with_a_table_that_is_no_text(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE pin", b"CREATE TABLE p\xffn"))


def text(file: Path) -> None:
    file.write_text("this is no database at all\n" * 100)


def of_something_else(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE entries (number INTEGER)")
    connection.close()


def without_a_table(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE verdicts")
    connection.close()


def with_a_trigger(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM pin; END")
    connection.close()


DAMAGES = [
    cut,
    cut_within_the_header,
    overwritten,
    of_an_unknown_format,
    with_a_table_that_is_no_text,
    text,
    of_something_else,
    without_a_table,
    with_a_trigger,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_history_is_set_aside_and_a_new_one_begins(
    history: History, file: Path, warned: list[str], damage: Callable[[Path], None]
) -> None:
    filled(history)
    damage(file)
    damaged = file.read_bytes()

    assert accept(history, "after") == 1
    assert len(history.entries(9)) == 1
    assert file.with_name("history.sqlite.broken-1").read_bytes() == damaged
    assert len(warned) == 1
    assert warned[0].startswith(f"{file}: ")
    assert warned[0].endswith("; it was set aside as history.sqlite.broken-1, and a new history begins")


def test_damage_while_it_is_open_is_noticed(history: History, file: Path, warned: list[str]) -> None:
    filled(history)
    assert history.entry(ENTRIES) is not None
    replacement = file.with_name("replacement")
    replacement.write_bytes(b"x" * 8192)
    replacement.replace(file)

    assert history.entries(9) == ()
    assert len(warned) == 1


def test_few_that_were_set_aside_are_kept(history: History, file: Path) -> None:
    for count in range(MOST_BROKEN + 2):
        accept(history, str(count))
        history.close()
        text(file)
    accept(history, "last")

    kept = sorted(path.name for path in file.parent.glob("*.broken-*"))
    assert kept == [f"history.sqlite.broken-{number}" for number in (3, 4, 5)]


def test_an_empty_file_is_a_history_without_entries(history: History, file: Path, warned: list[str]) -> None:
    file.touch()

    assert history.entries(9) == ()
    assert (history.last_good(), history.pinned(), warned) == (None, None, [])


def test_a_history_that_was_deleted_begins_anew(history: History, file: Path, warned: list[str]) -> None:
    accept(history, "a")
    file.unlink()

    assert accept(history, "b") == 1
    assert warned == []


def test_what_a_newer_version_wrote_is_left_alone(history: History, file: Path) -> None:
    filled(history)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = file.read_bytes()

    with pytest.raises(
        HistoryUnavailable, match=r"a newer version of this program wrote it \(schema 99, known up to 1"
    ):
        history.entries(9)
    assert file.read_bytes() == before


def test_a_content_that_is_not_what_was_kept_is_not_given_back(history: History, file: Path) -> None:
    accept(history, "a")
    history.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE contents SET digest = randomblob(16)")
    connection.close()

    with pytest.raises(HistoryUnavailable, match=r"gateway\.yaml is not what was kept"):
        history.texts(1)
    with pytest.raises(HistoryUnavailable, match="is not what was kept"):
        history.last_good()


def test_a_number_beyond_all_bounds_is_no_fault(history: History) -> None:
    with pytest.raises(HistoryUnavailable):
        history.entry(10**30)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write anywhere: it is somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def read_only(file: Path) -> None:
    file.chmod(0o444)
    for directory in (file.parent, *file.parent.parents[:2]):  # those that are the test's own
        directory.chmod(0o555)


def a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("fault", [read_only, a_directory])
def test_what_cannot_be_opened_is_unavailable_with_the_reason(
    history: History, file: Path, fault: Callable[[Path], None]
) -> None:
    accept(history, "a")
    history.close()
    fault(file)

    with unprivileged(), pytest.raises(HistoryUnavailable, match=r"history\.sqlite: .*(denied|directory)"):
        accept(history, "b")


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history.sqlite", clock=StillClock(), warn=pytest.fail)

    with pytest.raises(HistoryUnavailable):
        history.last_good()


def test_a_full_disk_costs_the_entry_and_nothing_else(file: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, file], capture_output=True, text=True, timeout=60, check=True)

    unavailable, kept, after = done.stdout.splitlines()
    assert unavailable.startswith(f"unavailable: {file}: ")
    assert kept == "1 1000"
    assert after == "2"


def test_a_process_that_is_killed_at_any_moment_leaves_a_history(file: Path) -> None:
    told = 0
    for attempt in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, file, str(attempt)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(1 + attempt % 4):
                told = int(writer.stdout.readline())
            threading.Event().wait(attempt * 0.0007)
            writer.send_signal(signal.SIGKILL)
        history = History(file, kept=5, clock=StillClock(), warn=pytest.fail)
        newest = history.entries(1)[0]
        good, pin, texts = history.last_good(), history.pinned(), history.texts(newest.number)
        history.close()

        assert newest.number >= told
        assert texts is not None
        assert good is not None
        assert good.digest == newest.digest
        assert list(good.texts.values()) == list(good.referenced.values())
        assert pin is not None
        assert pin.number in {newest.number, newest.number - 1}


def test_threads_take_turns(history: History) -> None:
    def write(name: str) -> None:
        for count in range(20):
            number = accept(history, f"{name} {count}")
            history.judged(number, name, accepted=True, reason="")
            history.entries(5)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(entry.number for entry in history.entries(100)) == list(range(1, 61))


def test_who_writes_beside_us_is_waited_for(history: History, file: Path) -> None:
    accept(history, "a")
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, other.execute, ["COMMIT"])
    done.start()

    assert accept(history, "b") == 2
    done.join()
    other.close()
