"""Whatever happens to the files while the control plane runs, the good configuration stays and the next is read."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from control_plane.compile import Compiler
from control_plane.config.files import MOST_ENTRIES
from control_plane.history.entries import Result
from control_plane.history.history import FILE_NAME, History
from control_plane.live.configuration import LiveConfiguration
from control_plane.sources import files
from control_plane.sources.files import FileSource
from service_kit.clock import SystemClock
from tests.support.compiled import config, route, written
from tests.support.eventually import eventually
from tests.support.live import live_configuration

NOBODY = 65534
GOOD = config(routes=[route()])
BETTER = config(routes=[route(), route("more", "/more")])
LONG_NAME = config(
    identity={
        "jwt": [
            {"name": "a", "issuer": "https://a.example", "audiences": ["g"], "algorithms": ["ES256"],
             "keys": {"file": "k" * 300}}
        ]
    }
)  # fmt: skip
# Files are looked at so often here, and nothing is to be read in so many seconds.
LOOK_MS = 100
SOME_LOOKS = 0.5


@dataclass
class Followed:
    """A live configuration that follows its files as the control plane does."""

    live: LiveConfiguration
    registry: CollectorRegistry
    releases: list[Any] = field(default_factory=list)

    def publish(self, release: Any) -> None:
        self.releases.append(release)

    @property
    def loads(self) -> float:
        results = ("live", "rejected")
        return sum(self.registry.get_sample_value("tollgate_config_loads_total", {"result": r}) or 0 for r in results)

    @property
    def names(self) -> list[str]:
        return [item.name for item in self.live.current.gateway.routes]

    def complains(self, words: str) -> bool:
        return any(words in error for error in self.live.status.errors)

    async def is_idle(self) -> None:
        """Nothing is read again while nothing changes."""
        loads = self.loads
        await asyncio.sleep(SOME_LOOKS)
        assert self.loads == loads


async def _follow(source: FileSource, live: LiveConfiguration) -> None:
    source.watch(live.files)
    async for _ in source.changes():
        await live.reload()
        source.watch(live.files)


@asynccontextmanager
async def followed(path: Path, state: Path) -> AsyncIterator[Followed]:
    """It still follows its files at the end."""
    registry = CollectorRegistry()
    found = Followed(None, registry)  # type: ignore[arg-type]  # each needs the other
    found.live, _ = live_configuration(
        path, found, log=structlog.get_logger(), clock=SystemClock(), registry=registry, state=state  # type: ignore[arg-type]
    )  # fmt: skip
    await found.live.start()
    source = FileSource(path)
    task = asyncio.create_task(_follow(source, found.live))
    try:
        await eventually(lambda: source._listed is not None)  # it has looked once
        yield found
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOOK_ANYWAY_MS", LOOK_MS)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="bad") as found:
        Path(found).chmod(0o755)
        yield Path(found)


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(file: Path) -> None:
        file.unlink()
        make(file)

    return replace


def _many_files(file: Path) -> None:
    for number in range(MOST_ENTRIES + 1):
        os.mknod(file.parent / f"{number}.txt")


def _without_them(file: Path) -> None:
    for other in file.parent.glob("*.txt"):
        other.unlink()


def _removed(file: Path) -> None:
    if file.is_dir():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)


def _sparse(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(50 << 20)


FAULTS = [
    pytest.param(lambda file: file.write_text("version: 1\nroutes: ["), "this is not YAML", id="half-written"),
    pytest.param(lambda file: file.write_text(""), "the file is empty", id="emptied"),
    pytest.param(_replaced(lambda _: None), "holds no configuration", id="deleted"),
    pytest.param(_replaced(os.mkdir), "is a directory", id="a-directory-in-its-place"),
    pytest.param(_replaced(os.mkfifo), "is no regular file", id="a-pipe-in-its-place"),
    pytest.param(_replaced(lambda file: file.symlink_to(file.name)), "symbolic links", id="a-link-to-itself"),
    pytest.param(_replaced(lambda file: file.symlink_to("/dev/zero")), "is no regular file", id="a-device"),
    pytest.param(_sparse, "is larger than 16 MiB", id="50-MB"),
    pytest.param(lambda file: written(file.parent, LONG_NAME), "File name too long", id="a-name-that-is-too-long"),
    pytest.param(_many_files, "more than 10000 entries", id="very-many-files"),
    pytest.param(
        lambda file: (file.parent / os.fsdecode(b"\xff.yaml")).write_text("["), r"\udcff.yaml:", id="name-of-any-bytes"
    ),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
async def test_a_fault_of_the_files_costs_nothing_but_itself(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    file = written(folder, GOOD)
    async with followed(folder, tmp_path) as found:
        spoil(file)
        await eventually(lambda: found.complains(words))

        assert found.names == ["email"]
        await found.is_idle()

        _removed(file)
        _without_them(file)
        (folder / os.fsdecode(b"\xff.yaml")).unlink(missing_ok=True)
        written(folder, BETTER)
        await eventually(lambda: len(found.names) == 2 and not found.live.status.errors, within=15)


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root reads everything."""
    before = os.geteuid()
    os.seteuid(NOBODY if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("closed", ["file", "directory", "directory-above"])
async def test_what_may_not_be_read_costs_nothing_but_itself(folder: Path, closed: str) -> None:
    inner = folder / "above" / "etc"
    inner.mkdir(parents=True, mode=0o755)
    file = written(inner, GOOD)
    target = {"file": file, "directory": inner, "directory-above": inner.parent}[closed]
    mode = target.stat().st_mode
    state = folder / "state"
    state.mkdir()
    state.chmod(0o777)
    with _as_nobody():
        async with followed(file, state) as found:
            os.seteuid(0)
            target.chmod(0)
            os.seteuid(NOBODY)
            await eventually(lambda: found.complains("cannot be read: Permission denied"))
            assert found.names == ["email"]
            await found.is_idle()

            os.seteuid(0)
            target.chmod(mode)
            written(inner, BETTER)
            os.seteuid(NOBODY)
            await eventually(lambda: len(found.names) == 2)


async def test_links_that_are_swapped_all_the_time_never_mix_what_they_lead_to(folder: Path, tmp_path: Path) -> None:
    for name, content in (("one", GOOD), ("two", BETTER)):
        (folder / name).mkdir()
        written(folder / name, content)
    file = folder / "now" / written(folder / "one", GOOD).name
    (folder / "now").symlink_to("one")
    async with followed(file, tmp_path) as found:
        for turn in range(150):
            (folder / "now").unlink()  # as `ln -sfn` does it, in two steps
            await asyncio.sleep(0.001)
            (folder / "now").symlink_to(("two", "one")[turn % 2])
            assert found.names in (["email"], ["email", "more"])
        (folder / "now").unlink()
        (folder / "now").symlink_to("two")
        await eventually(lambda: found.names == ["email", "more"] and not found.live.status.errors)
        await found.is_idle()


async def test_a_history_that_is_damaged_while_it_is_used_keeps_nothing_from_going_live(
    folder: Path, tmp_path: Path
) -> None:
    written(folder, GOOD)
    async with followed(folder, tmp_path) as found:
        for file in tmp_path.iterdir():
            file.write_bytes(os.urandom(50_000))
        written(folder, BETTER)
        await eventually(lambda: len(found.names) == 2)

        shutil.rmtree(tmp_path)
        tmp_path.write_text("a file where the state was")
        written(folder, GOOD)
        await eventually(lambda: found.names == ["email"])
        assert found.live.status.number is None


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.security.test_bad_files import BETTER, followed
from tests.support.compiled import written
from tests.support.eventually import eventually

async def main(folder, state):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with followed(folder, state) as found:
        written(folder, BETTER)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        await eventually(lambda: len(found.names) == 2)
        assert found.registry.get_sample_value("tollgate_config_history_available") == 0
        print("live without a history")

asyncio.run(main(*map(Path, sys.argv[1:])))
"""


def test_a_disk_that_is_full_costs_the_history_alone(folder: Path, tmp_path: Path) -> None:
    written(folder, GOOD)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, folder, tmp_path], capture_output=True, text=True, timeout=30, check=False
    )

    assert "live without a history" in done.stdout, done.stderr


NO_WATCHES = """
import asyncio, ctypes, os, sys
from pathlib import Path
from tests.security.test_bad_files import BETTER, followed
from tests.support.compiled import written
from tests.support.eventually import eventually

async def main(folder, state):
    if os.getuid() == 0:
        os.setresuid(65534, 0, 0)  # the limit is that of a user
    while ctypes.CDLL(None).inotify_init() >= 0:
        pass
    async with followed(folder, state) as found:
        written(folder, BETTER)
        await eventually(lambda: len(found.names) == 2)
        await found.is_idle()
        print("followed without a watch")

asyncio.run(main(*map(Path, sys.argv[1:])))
"""


def test_a_system_without_watches_left_is_asked_without_them(folder: Path) -> None:
    state, etc = folder / "state", folder / "etc"
    for path in (state, etc):
        path.mkdir()
        path.chmod(0o777)
    written(etc, GOOD).chmod(0o666)
    done = subprocess.run(
        [sys.executable, "-c", NO_WATCHES, etc, state], capture_output=True, text=True, timeout=30, check=False
    )

    assert "followed without a watch" in done.stdout, done.stderr


async def test_a_file_that_our_compiler_fails_on_starts_with_the_last_good_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder, GOOD)
    log, clock = structlog.get_logger(), SystemClock()
    async with followed(folder, tmp_path) as found:
        inputs = found.live.current.loaded.inputs
    history = History(tmp_path / FILE_NAME, clock=clock, warn=log.warning)
    history.accepted("the test", inputs, inputs.digest, Result.LIVE, ())
    history.close()

    def fails(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(Compiler, "read", fails)
    publisher: Any = Followed(found.live, CollectorRegistry())
    live, _ = live_configuration(folder, publisher, log=log, clock=clock, registry=publisher.registry, state=tmp_path)
    await live.start()

    assert [item.name for item in live.current.gateway.routes] == ["email"]
    assert "the compiler failed, please report it" in live.status.restored
