import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from control_plane.sources.files import FileSource, deciding_directories
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
    source.watch(others)
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
        follower.source.watch({keys})
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
