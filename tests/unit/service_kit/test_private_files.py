import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from service_kit.private_files import kept_secret, make_private_database


def mode(path):
    return oct(path.stat().st_mode & 0o777)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    file = tmp_path / "secret"

    assert kept_secret(file, lambda: "first") == "first"
    assert kept_secret(file, lambda: "second") == "first"
    assert mode(file) == "0o600"
    assert names(tmp_path) == ["secret"]


@pytest.mark.parametrize("content", ["", "\n", " \n"])
def test_a_file_without_a_secret_is_replaced(tmp_path, content):
    file = tmp_path / "secret"
    file.write_text(content)

    assert kept_secret(file, lambda: "first") == "first"
    assert (mode(file), file.read_text()) == ("0o600", "first\n")


def test_all_who_make_it_at_once_have_the_same(tmp_path):
    with ThreadPoolExecutor(16) as threads:
        for file in (tmp_path / f"secret{number}" for number in range(20)):
            found = set(threads.map(lambda mine, file=file: kept_secret(file, lambda: mine), map(str, range(16))))
            assert found == {file.read_text().strip()}
    assert len(names(tmp_path)) == 20


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", no_links)

    assert kept_secret(tmp_path / "secret", lambda: "first") == "first"
    assert names(tmp_path) == ["secret"]


def test_what_is_there_becomes_private(tmp_path):
    file, beside, absent = tmp_path / "db", tmp_path / "db-wal", tmp_path / "db-shm"
    beside.touch(0o644)

    make_private_database(file)

    assert (mode(file), mode(beside)) == ("0o600", "0o600")
    assert not absent.exists()


def test_a_database_that_is_in_use_keeps_its_locks(tmp_path):
    """Else the next process that closes it takes itself for the last one, and removes the log written ahead."""
    file = tmp_path / "db"
    make_private_database(file)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (n)")
        make_private_database(file)
        others = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM t').fetchall(); c.close()"
        )
        subprocess.run([sys.executable, "-c", others, file], check=True, timeout=60)

        assert file.with_name("db-wal").exists()
