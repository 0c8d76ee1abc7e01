"""Where nobody else keeps the log small: what is read goes, and no row with it."""

import http.server
import os
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from service_kit.endpoint import UnixEndpoint
from tests.support.clock import StillClock
from tests.support.ledger import Ledger, row
from usage_ledger.rotation import SILENCE, Rotation


class Envoy(http.server.BaseHTTPRequestHandler):
    """Answers as its admin interface does."""

    asked: list[str]

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def admin(tmp_path) -> Iterator[tuple[Path, list[str]]]:
    asked: list[str] = []
    socket = Path(os.path.relpath(tmp_path / "envoy.sock"))  # short: socket paths have a limit
    with socketserver.UnixStreamServer(str(socket), type("Asked", (Envoy,), {"asked": asked})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield socket, asked
        server.shutdown()
        thread.join()


def rotation(ledger: Ledger, socket: Path) -> Rotation:
    return Rotation(ledger.log, UnixEndpoint(socket), ledger.clock, structlog.get_logger(), largest=1000)


def renamed(ledger: Ledger) -> list[Path]:
    return list(ledger.folder.glob("access.log.*"))


def test_a_log_that_has_grown_is_renamed_and_deleted_when_it_was_read(tmp_path, admin):
    ledger = Ledger(tmp_path, clock=StillClock(4_000_000_000.0))  # long after any file was written
    rotating, tail = rotation(ledger, admin[0]), ledger.tail()
    ledger.write(*map(row, range(10)))
    rotating.rename()
    rotating.rename()
    assert len(renamed(ledger)) == 1
    assert admin[1] == ["/reopen_logs"] * 2

    rotating.delete(tail.finished())
    assert renamed(ledger), "nothing of it was read"
    ledger.write(row(10))
    tail.finish()
    rotating.delete(tail.finished())
    assert not renamed(ledger)
    assert sum(ledger.calls().values()) == 11


def test_nothing_is_deleted_while_envoy_may_write_it(tmp_path):
    ledger = Ledger(tmp_path, clock=StillClock(4_000_000_000.0))
    rotating, tail = rotation(ledger, tmp_path / "nobody.sock"), ledger.tail()
    rotating._owed = False
    ledger.write(*map(row, range(10)))
    rotating.rename()
    tail.finish()
    rotating.delete(tail.finished())

    assert len(renamed(ledger)) == 1


def test_nor_what_was_written_a_moment_ago(tmp_path, admin):
    ledger = Ledger(tmp_path)
    rotating, tail = rotation(ledger, admin[0]), ledger.tail()
    rotating.rename()
    ledger.write(*map(row, range(10)))
    rotating.rename()
    tail.finish()
    (old,) = renamed(ledger)
    written = old.stat().st_mtime
    for seconds, there in ((SILENCE - 1, True), (SILENCE + 1, False)):
        ledger.clock.seconds = written + seconds
        rotating.delete(tail.finished())
        assert old.exists() is there
