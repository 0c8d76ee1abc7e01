"""What the store appended is put on the disk."""

import os

import redis

from tests.support.valkey import valkey_server
from tollgate_cli.supervisor.store_sync import sync


def synced_in(folder):
    """The files that are put on the disk, by their numbers."""
    files = []
    sync(folder, lambda descriptor: files.append(os.fstat(descriptor).st_ino))
    return files


def test_the_file_that_a_store_appends_to_is_put_on_the_disk(tmp_path):
    with valkey_server(tmp_path) as server:
        with redis.Redis(unix_socket_path=server.address.removeprefix("unix:")) as client:
            client.set("acknowledged", "yes")

        written = [file for file in tmp_path.rglob("*") if file.is_file() and b"acknowledged" in file.read_bytes()]

        assert [file.stat().st_ino for file in written] == synced_in(tmp_path)
        sync(tmp_path)


def test_a_store_that_is_not_there_yet_needs_nothing(tmp_path):
    assert synced_in(tmp_path / "store") == []


def test_a_disk_that_fails_stops_nothing(tmp_path):
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.1.incr.aof").write_bytes(b"")

    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    sync(tmp_path, fail)
