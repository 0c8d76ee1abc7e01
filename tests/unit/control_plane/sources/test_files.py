import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from control_plane.config.files import configuration_files, digest, digest_of
from control_plane.sources import files
from control_plane.sources.files import SETTLED_AFTER, FileSource, deciding_directories
from tests.support.eventually import eventually


@dataclass
class Follower:
    """Reads the files whenever the source says so, as the control plane does."""

    source: FileSource
    files: tuple[Path, ...]
    readings: list[tuple[str | None, ...]] = field(default_factory=list)

    async def follow(self) -> None:
        async for _ in self.source.changes():
            self.readings.append(tuple(file.read_text() if file.is_file() else None for file in self.files))

    async def reads(self, *content: str | None) -> None:
        await eventually(lambda: self.readings and self.readings[-1] == content)


@asynccontextmanager
async def following(path: Path, *others: Path) -> AsyncIterator[Follower]:
    source = FileSource(path)
    source.watch(dict.fromkeys(others))
    follower = Follower(source, (path, *others))
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "tollgate.yaml"
    path.write_text("first")
    return path


async def test_what_changed_before_the_watch_is_read_at_once(config):
    async with following(config) as follower:
        await follower.reads("first")


async def test_a_write_is_noticed(config):
    async with following(config) as follower:
        await follower.reads("first")
        config.write_text("second")
        await follower.reads("second")


async def test_an_editor_that_replaces_the_file(config):
    async with following(config) as follower:
        await follower.reads("first")
        draft = config.with_suffix(".swp")
        for text in ("second", "third"):
            draft.write_text(text)
            draft.replace(config)
            await follower.reads(text)


async def test_a_file_that_was_replaced_is_whole(config, monkeypatch):
    """One that is written in place would settle in an hour only."""
    async with following(config) as follower:
        await follower.reads("first")
        monkeypatch.setattr(files, "SETTLED_AFTER", 3600.0)
        monkeypatch.setattr(files, "LONGEST_WRITE", 7200.0)
        draft = config.with_suffix(".swp")
        draft.write_text("second")
        draft.replace(config)
        await follower.reads("second")


async def test_a_file_that_is_deleted_and_written_anew(config):
    async with following(config) as follower:
        await follower.reads("first")
        config.unlink()
        await follower.reads(None)
        config.write_text("second")
        await follower.reads("second")


async def test_a_config_map_whose_directory_is_swapped(tmp_path):
    for version in ("first", "second"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "tollgate.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("first")
    config = tmp_path / "tollgate.yaml"
    config.symlink_to("..data/tollgate.yaml")

    async with following(config) as follower:
        await follower.reads("first")
        (tmp_path / "..new").symlink_to("second")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await follower.reads("second")


async def test_a_release_directory_that_is_swapped(tmp_path):
    for version in ("first", "second"):
        (tmp_path / "releases" / version).mkdir(parents=True)
        (tmp_path / "releases" / version / "tollgate.yaml").write_text(version)
    (tmp_path / "current").symlink_to("releases/first")

    async with following(tmp_path / "current" / "tollgate.yaml") as follower:
        await follower.reads("first")
        (tmp_path / "new").symlink_to(tmp_path / "releases" / "second")
        (tmp_path / "new").replace(tmp_path / "current")
        await follower.reads("second")
        (tmp_path / "releases" / "second" / "tollgate.yaml").write_text("third")
        await follower.reads("third")


async def test_a_directory_that_is_deleted_and_made_anew(tmp_path):
    directory = tmp_path / "etc"
    directory.mkdir()
    config = directory / "tollgate.yaml"
    config.write_text("first")

    async with following(config) as follower:
        await follower.reads("first")
        config.unlink()
        directory.rmdir()
        await follower.reads(None)
        directory.mkdir()
        config.write_text("second")
        await follower.reads("second")
        config.write_text("third")
        await follower.reads("third")


async def test_a_file_that_the_configuration_depends_on(config, tmp_path):
    keys = tmp_path / "keys" / "jwks.json"

    async with following(config, keys) as follower:
        await follower.reads("first", None)
        keys.parent.mkdir()
        keys.write_text("{}")
        await follower.reads("first", "{}")


async def test_a_dependency_that_is_added_later(config, tmp_path):
    keys = tmp_path / "keys" / "jwks.json"
    keys.parent.mkdir()
    keys.write_text("{}")

    async with following(config) as follower:
        await follower.reads("first")
        follower.files = (config, keys)
        follower.source.watch({keys: None})
        await follower.reads("first", "{}")
        keys.write_text("{1}")
        await follower.reads("first", "{1}")


async def test_noise_in_the_directory_reads_nothing(config, tmp_path):
    async with following(config) as follower:
        await follower.reads("first")
        for number in range(20):
            (tmp_path / f"noise-{number}").write_text("x")
        config.touch()
        config.write_text("second")
        await follower.reads("second")

    assert follower.readings == [("first",), ("second",)]


async def test_a_burst_of_writes_is_read_when_it_is_over(config):
    async with following(config) as follower:
        await follower.reads("first")
        for number in range(50):
            config.write_text(f"{number}" * 1000)
        await follower.reads("49" * 1000)

    assert len(follower.readings) <= 3


def test_each_directory_that_decides_what_a_file_is(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "c.yaml").touch()
    (tmp_path / "mounts").mkdir()
    (tmp_path / "mounts" / "link").symlink_to("../real")

    through_link = deciding_directories([tmp_path / "mounts" / "link" / "c.yaml"])

    assert {tmp_path / "mounts", tmp_path / "real"} <= through_link
    assert deciding_directories([tmp_path / "real" / "nope" / "c.yaml"]) == deciding_directories(
        [tmp_path / "real" / "c.yaml"]
    )


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert tmp_path in deciding_directories([tmp_path / "a" / "c.yaml"])


def write_all(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


@dataclass
class DirectoryFollower:
    """Reads the directory whenever the source says so."""

    source: FileSource
    folder: Path
    readings: list[dict[str, str]] = field(default_factory=list)

    async def follow(self) -> None:
        async for _ in self.source.changes():
            found = configuration_files(self.folder)
            self.readings.append({file.stem: file.read_text() for file in found if file != self.folder})
            self.source.watch({file: digest(file) for file in found if file != self.folder})

    async def reads(self, **content: str) -> None:
        await eventually(lambda: self.readings and self.readings[-1] == content)


@asynccontextmanager
async def following_directory(folder: Path) -> AsyncIterator[DirectoryFollower]:
    follower = DirectoryFollower(FileSource(folder), folder)
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_files_of_a_directory_that_are_written_added_renamed_and_removed(tmp_path):
    write_all(tmp_path, a="first")
    async with following_directory(tmp_path) as follower:
        await follower.reads(a="first")
        write_all(tmp_path, b="second")
        await follower.reads(a="first", b="second")
        (tmp_path / "b.yaml").rename(tmp_path / "c.yaml")
        await follower.reads(a="first", c="second")
        write_all(tmp_path, c="third")
        await follower.reads(a="first", c="third")
        (tmp_path / "a.yaml").unlink()
        await follower.reads(c="third")

    assert len(follower.readings) == 5


async def test_a_directory_that_is_empty_at_first(tmp_path):
    async with following_directory(tmp_path) as follower:
        await asyncio.sleep(0)
        write_all(tmp_path, a="first")
        await follower.reads(a="first")


async def test_a_config_map_that_is_mounted_as_a_directory(tmp_path):
    for version, names in (("..1", "ab"), ("..2", "bc")):
        (tmp_path / version).mkdir()
        write_all(tmp_path / version, **dict.fromkeys(names, version))
    (tmp_path / "..data").symlink_to("..1")
    for name in "ab":
        (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")

    async with following_directory(tmp_path) as follower:
        await follower.reads(a="..1", b="..1")
        # as the kubelet does: links of new files, the swap, then links of files that are gone
        (tmp_path / "c.yaml").symlink_to("..data/c.yaml")
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        (tmp_path / "a.yaml").unlink()
        await follower.reads(b="..2", c="..2")

    assert len(follower.readings) == 2


async def test_editors_leftovers_in_a_directory_read_nothing(tmp_path):
    write_all(tmp_path, a="first")
    async with following_directory(tmp_path) as follower:
        await follower.reads(a="first")
        for name in (".a.yaml.swp", "a.yaml~", "#a.yaml#", ".#a.yaml", "4913"):
            (tmp_path / name).write_text("draft")
        write_all(tmp_path, a="second")
        await follower.reads(a="second")

    assert len(follower.readings) == 2


async def test_what_was_read_already_is_not_reported(config):
    source = FileSource(config)
    source.watch({config: digest(config)})
    follower = Follower(source, (config,))
    task = asyncio.create_task(follower.follow())
    try:
        await asyncio.sleep(0.1)
        config.write_text("second")
        await follower.reads("second")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert follower.readings == [("second",)]


async def test_a_change_that_arrives_while_the_last_one_is_read_is_not_lost(config):
    source = FileSource(config)
    readings = []
    async with aclosing(source.changes()) as changes:
        async for _ in changes:
            readings.append(config.read_text())
            if readings == ["first"]:
                config.write_text("second")  # the reader is busy with the first
                source.watch({config: digest_of(b"first")})
                await asyncio.sleep(0.05)
            else:
                break

    assert readings == ["first", "second"]


async def test_a_file_that_is_being_written_is_not_read(config):
    """The writer pauses for longer than a file takes to settle, but has it open: every part of it is a whole line."""
    async with following(config) as follower:
        await follower.reads("first")
        with config.open("w") as writer:
            for line in ("second\n", "third\n", "fourth\n"):
                writer.write(line)
                writer.flush()
                await asyncio.sleep(SETTLED_AFTER * 2)
        await follower.reads("second\nthird\nfourth\n")

    assert follower.readings == [("first",), ("second\nthird\nfourth\n",)]


async def test_a_file_that_is_written_in_pieces_is_read_when_no_piece_comes(config):
    """Each piece is a write of its own, as by `echo >>`: nobody can be seen between them."""
    async with following(config) as follower:
        await follower.reads("first")
        for piece in range(6):
            with config.open("w" if piece == 0 else "a") as writer:
                writer.write(f"{piece}\n")
            await asyncio.sleep(SETTLED_AFTER / 5)
        await follower.reads("0\n1\n2\n3\n4\n5\n")

    assert follower.readings == [("first",), ("0\n1\n2\n3\n4\n5\n",)]


async def test_a_writer_that_never_closes_does_not_keep_a_change_for_ever(config, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_WRITE", SETTLED_AFTER * 2)
    async with following(config) as follower:
        await follower.reads("first")
        with config.open("w") as writer:
            writer.write("second")
            writer.flush()
            await follower.reads("second")
