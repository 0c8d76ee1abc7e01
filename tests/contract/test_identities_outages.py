"""While the database is away what is known stands and what is asked is refused; when it is back, all goes on."""

import asyncio
import itertools
import shutil
import signal
import sqlite3
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from control_plane.keys import identities as module
from control_plane.keys.entries import ConsumerSpec, KeySpec
from control_plane.keys.errors import IdentityError, StoreUnavailable, StoreUnusable
from service_kit.clock import SystemClock
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE
from tests.support.clock import StillClock
from tests.support.eventually import eventually
from tests.support.identities import identities, new_store, opened
from tests.support.postgres import postgres_binaries, postgres_server

SPEC = KeySpec("declared")
FILES = ("users.sqlite", "users.sqlite-wal", "users.sqlite-shm")
on_postgresql = pytest.mark.parametrize("kind", ["postgresql"])
_databases = (f"outage{number}" for number in itertools.count())


@pytest.fixture
def server():
    """One that a test may do anything to."""
    with postgres_server(postgres_binaries()) as running:
        yield running


@asynccontextmanager
async def running(stored):
    """Follows what others do, until the block ends."""
    task = asyncio.create_task(stored.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def names(stored, type_url=API_KEY_TYPE):
    return set(stored.snapshot.of(type_url))


async def works(stored):
    try:
        await stored.keys()
    except StoreUnavailable:
        return False
    return True


@on_postgresql
async def test_replicas_hear_of_each_other(kind, postgres):
    url = postgres.new_database(next(_databases))
    async with opened(url, SystemClock()) as one, opened(url, SystemClock()) as other, running(one), running(other):
        made = await one.create_key(SPEC, by="ops")
        await eventually(lambda: names(other) == {made.key.id})

        await other.revoke(made.key.id, by="ops")
        await eventually(lambda: not names(one))

        await asyncio.gather(
            *(stored.create_consumer(ConsumerSpec(name), by="ops") for stored, name in ((one, "ann"), (other, "bob")))
        )
        await eventually(lambda: names(one, CONSUMER_TYPE) == names(other, CONSUMER_TYPE) == {"ann", "bob"})
        assert one.snapshot.version(API_KEY_TYPE) == other.snapshot.version(API_KEY_TYPE)


@on_postgresql
async def test_replicas_that_begin_at_once_make_one_store(kind, postgres):
    url = postgres.new_database(next(_databases))
    replicas = [identities(url, StillClock()) for _ in range(5)]

    await asyncio.gather(*(replica.open() for replica in replicas))
    made = [await replica.create_key(SPEC, by="ops") for replica in replicas]

    assert {key.id for key in await replicas[0].keys()} == {new.key.id for new in made}
    await asyncio.gather(*(replica.close() for replica in replicas))


@on_postgresql
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGQUIT], ids=["stop", "crash"])
async def test_a_server_that_was_away(kind, server, end):
    url = server.url()
    async with (
        opened(url, SystemClock()) as stored,
        opened(url, SystemClock()) as other,
        running(stored),
        running(other),
    ):
        kept = [(await stored.create_key(SPEC, by="ops")).key.id for _ in range(20)]
        revoked = [(await stored.revoke(key, by="ops")).id for key in kept[::2]]
        await eventually(lambda: names(other) == set(kept) - set(revoked))

        server.stop(end)
        with pytest.raises(StoreUnavailable, match="it is tried again; keys and consumers that are known work on"):
            await stored.create_key(SPEC, by="ops")
        assert names(stored) == set(kept) - set(revoked)

        server.start()
        await eventually(lambda: works(stored))
        await stored.revoke(kept[1], by="ops")
        expected = set(kept[3::2])
        assert {key.id for key in await stored.keys(limit=1000) if key.state(0) == "active"} == expected
        await eventually(lambda: names(other) == expected, within=20)


@on_postgresql
async def test_a_server_that_hangs_holds_nobody_up(kind, server, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_ANSWER", 0.5)
    monkeypatch.setattr(module, "LONGEST_FAREWELL", 0.1)
    async with opened(server.url(), StillClock()) as stored:
        made = await stored.create_key(SPEC, by="ops")
        server.freeze()

        for asked in (stored.revoke(made.key.id, by="ops"), stored.keys()):
            with pytest.raises(StoreUnavailable, match="did not answer within"):
                await asked
        assert names(stored) == {made.key.id}

        server.thaw()
        await eventually(lambda: works(stored))
        await stored.revoke(made.key.id, by="ops")
        assert not names(stored)


@on_postgresql
async def test_a_store_that_is_not_there_yet(kind, server):
    server.stop()
    stored = identities(server.url(), SystemClock())
    with capture_logs() as logs:
        with pytest.raises(StoreUnavailable):
            await stored.open()
        assert stored.snapshot is None

        async with running(stored):
            await eventually(lambda: [log for log in logs if "cannot be read" in log["event"]])
            server.start()
            await eventually(lambda: stored.snapshot is not None, within=20)
            await eventually(lambda: [log for log in logs if "can be read" in log["event"]])
        assert len([log for log in logs if "cannot be read" in log["event"]]) == 1, "an outage is told once"
    await stored.close()


@on_postgresql
async def test_a_password_is_shown_nowhere(kind, server):
    url = server.url().replace("tollgate@", "nobody:a-password@")
    with capture_logs() as logs:
        stored = identities(url, StillClock())
        with pytest.raises(IdentityError) as refused:
            await stored.open()
        async with running(stored):
            await eventually(lambda: [log for log in logs if "not heard of" in log["event"]])
            await eventually(lambda: [log for log in logs if "cannot be read" in log["event"]])
        await stored.close()

    assert "nobody" in str(refused.value), "who was refused is told"
    assert "a-password" not in f"{refused.value!r} {logs} {stored._database.place}"


async def test_another_process_on_the_same_file_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.05)
    url = new_store("sqlite", tmp_path, lambda: None)
    async with opened(url, StillClock()) as one, opened(url, StillClock()) as other, running(one):
        made = await other.create_key(SPEC, by="ops")

        await eventually(lambda: names(one) == {made.key.id})


async def test_a_backup_that_is_put_in_place_is_read_whole(tmp_path):
    file = tmp_path / "users.sqlite"
    async with opened(f"sqlite://{file}", StillClock()) as stored:
        first = await stored.create_key(SPEC, by="ops")
    shutil.copy(file, tmp_path / "backup")
    async with opened(f"sqlite://{file}", StillClock()) as stored:
        await stored.revoke(first.key.id, by="ops")
        await stored.create_key(SPEC, by="ops")
        stored._served.revision += 10  # as one that has seen more than the backup has

        await stored._read()

        assert len(names(stored)) == 1
        assert stored._served.revision == 3


@pytest.mark.parametrize("change", ["deleted", "replaced"])
async def test_nothing_is_written_into_a_file_that_is_not_there_any_more(tmp_path, change):
    file = tmp_path / "users.sqlite"
    async with opened(f"sqlite://{file}", StillClock()) as stored:
        made = await stored.create_key(SPEC, by="ops")
        file.rename(tmp_path / "away")
        if change == "replaced":
            file.touch()

        with pytest.raises(StoreUnavailable, match=r"moved, deleted or replaced .* put it back, or restart"):
            await stored.create_key(SPEC, by="ops")
        assert names(stored) == {made.key.id}

        (tmp_path / "away").rename(file)
        await stored.revoke(made.key.id, by="ops")
        assert not names(stored)


async def test_a_disk_without_room_refuses_and_keeps_what_there_was(tmp_path):
    """SQLite's own bound on pages stands in for the disk's."""
    async with opened(f"sqlite://{tmp_path}/users.sqlite", StillClock()) as stored:
        kept = await stored.create_key(SPEC, by="ops")
        with stored._database._opened().connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        large = KeySpec("declared", tuple(f"{'x' * 200}{number}" for number in range(90)))
        with pytest.raises(StoreUnavailable, match="database or disk is full"):
            await stored.create_key(large, by="ops")

        assert kept.key.id in names(stored)
        assert names(stored) == {key.id for key in await stored.keys(limit=1000)}


def corrupt(file):
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:5000])


def of_something_else(file):
    file.unlink()
    statement(file, "CREATE TABLE songs (name TEXT)")


def no_database(file):
    file.write_bytes(b"my notes, which are no database\n" * 200)


def newer(file):
    statement(file, "UPDATE tollgate_identities SET schema_version = 3")


def stateless(file):
    statement(file, "DELETE FROM tollgate_identities")


def unreadable_value(file):
    statement(file, "UPDATE tollgate_keys SET scopes = '[not json'")


def statement(file, text):
    connection = sqlite3.connect(file)
    connection.execute(text)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (corrupt, "it is damaged: .*; restore it from a backup, or name another store"),
        (cut, "it is damaged: .*; restore it from a backup, or name another store"),
        (no_database, "it is damaged: file is not a database"),
        (of_something_else, "it is a database of something else: it has a table 'songs'; name a file of its own"),
        (newer, r"a newer version of this program wrote it \(schema 3, known up to 2\); run that version"),
        (stateless, "its state is missing; restore it from a backup"),
        (unreadable_value, "it is damaged: a value cannot be read"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path, damage, message):
    file = tmp_path / "users.sqlite"
    async with opened(f"sqlite://{file}", StillClock()) as stored:
        await stored.create_key(SPEC, by="ops")
    damage(file)
    before = file.read_bytes()

    stored = identities(f"sqlite://{file}", StillClock())
    with pytest.raises(StoreUnusable, match=f"^{file}: {message}"):
        await stored.open()
    await stored.close()

    assert file.read_bytes() == before
    assert stored.snapshot is None


async def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / "users.sqlite").mkdir()
    stored = identities(f"sqlite://{tmp_path}/users.sqlite", StillClock())
    with pytest.raises(StoreUnavailable, match="Is a directory"):
        await stored.open()
    await stored.close()


async def test_the_files_are_their_owners_alone(tmp_path):
    file = tmp_path / "deep" / "users.sqlite"
    async with opened(f"sqlite://{file}", StillClock()) as stored:
        await stored.create_key(SPEC, by="ops")

        assert {path.name: oct(path.stat().st_mode & 0o777) for path in file.parent.iterdir()} == dict.fromkeys(
            FILES, "0o600"
        )
        assert oct(file.parent.stat().st_mode & 0o777) == "0o700"


async def test_neither_keys_nor_the_pepper_are_in_the_files(tmp_path):
    with capture_logs() as logs:
        async with opened(f"sqlite://{tmp_path}/users.sqlite", StillClock()) as stored:
            made = await stored.create_key(SPEC, by="ops")
            rotated = await stored.rotate(made.key.id, overlap=10, by="ops")
            content = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert made.key.id.encode() in content
    for secret in (made.text, rotated.text, made.text[17:60], "a-pepper-of"):
        assert secret.encode() not in content
        assert secret not in f"{logs} {vars(stored)} {made} {rotated}" or secret == "a-pepper-of"
