"""The cache of numerous resources: what was applied is there after a restart, and what is damaged is no cache."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from service_kit.policy_cache import CacheError, Held
from service_kit.policy_database import PolicyDatabase

KEYS, CONSUMERS = "type.googleapis.com/a.Key", "type.googleapis.com/a.Consumer"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "authz_service.resources"


def held(text: str) -> Held:
    return Held(f"v-{text}", text.encode())


def test_what_was_written_is_loaded(file: Path) -> None:
    database = PolicyDatabase(file)
    database.write(KEYS, {"a": held("1"), "b": held("2")}, ())
    database.write(KEYS, {"b": held("3"), "c": held("4")}, ("a", "unknown"))
    database.write(CONSUMERS, {}, ())

    assert PolicyDatabase(file).load() == {KEYS: {"b": held("3"), "c": held("4")}, CONSUMERS: {}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_there_is_nothing_before_something_is_written(file: Path) -> None:
    assert PolicyDatabase(file).load() == {}
    assert not file.exists()


def test_a_change_does_not_write_everything(file: Path) -> None:
    database = PolicyDatabase(file)
    database.write(KEYS, {f"key-{number}": held("x" * 100) for number in range(20_000)}, ())
    before = _written()
    database.write(KEYS, {"key-7": held("y")}, ("key-8",))

    assert _written() - before < file.stat().st_size / 10
    loaded = PolicyDatabase(file).load()[KEYS]
    assert (len(loaded), loaded["key-7"], "key-8" in loaded) == (19_999, held("y"), False)


def _written() -> int:
    """Bytes that this process has asked to be written."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def test_what_is_forgotten_goes_with_the_next_change(file: Path) -> None:
    PolicyDatabase(file).write(KEYS, {"a": held("1")}, ())
    database = PolicyDatabase(file)
    database.load()
    database.forget(KEYS)
    database.write(KEYS, {"b": held("2")}, ())

    assert PolicyDatabase(file).load() == {KEYS: {"b": held("2")}}


def _foreign(file: Path) -> None:
    file.write_bytes(b"something else\n" * 1000)


def _torn(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _of_another_version(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def _a_changed_value(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE resources SET body = x'00' WHERE name = 'a'")
    connection.close()


def _a_type_that_was_not_applied(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM applied")
    connection.close()


@pytest.mark.parametrize(
    "damage", [_foreign, _torn, _of_another_version, _a_changed_value, _a_type_that_was_not_applied]
)
def test_what_is_damaged_is_no_cache_and_is_made_anew(file: Path, damage) -> None:
    PolicyDatabase(file).write(KEYS, {"a": held("1"), "b": held("2" * 20_000)}, ())
    damage(file)
    database = PolicyDatabase(file)
    with pytest.raises(CacheError):
        database.load()

    database.write(KEYS, {"c": held("3")}, ())
    assert PolicyDatabase(file).load() == {KEYS: {"c": held("3")}}


def test_a_change_that_could_not_be_written_is_written_with_the_next(file: Path) -> None:
    database = PolicyDatabase(file)
    database.write(KEYS, {"a": held("1"), "b": held("2")}, ())
    with sqlite3.connect(file, timeout=0, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CacheError, match="locked"):
            database.write(KEYS, {}, ("a",))
        other.execute("ROLLBACK")
    other.close()

    database.write(KEYS, {"c": held("3")}, ())
    assert PolicyDatabase(file).load() == {KEYS: {"b": held("2"), "c": held("3")}}


def test_a_file_that_is_lost_is_not_begun_with_a_part_of_what_was_in_it(file: Path) -> None:
    database = PolicyDatabase(file)
    database.write(KEYS, {"a": held("1")}, ())
    file.unlink()
    for _ in range(2):
        with pytest.raises(CacheError, match="lost"):
            database.write(KEYS, {"b": held("2")}, ())

    assert PolicyDatabase(file).load() == {}


def test_what_could_not_be_read_at_the_start_is_not_mixed_with_what_is_told_then(file: Path) -> None:
    PolicyDatabase(file).write(KEYS, {"a": held("1"), "revoked": held("2")}, ())
    database = PolicyDatabase(file)
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CacheError, match="locked"):
            database.load()
    other.close()

    database.write(KEYS, {"a": held("1")}, ())
    assert PolicyDatabase(file).load() == {KEYS: {"a": held("1")}}


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(CacheError):
        PolicyDatabase(tmp_path / "none" / "x.resources").write(KEYS, {"a": held("1")}, ())
