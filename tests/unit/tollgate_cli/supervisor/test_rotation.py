import asyncio
import io
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service_kit.endpoint import unix_endpoint
from service_kit.http import HttpServer
from tests.support.envoy_admin import envoy_admin
from tests.support.eventually import eventually
from tollgate_cli.supervisor.output import Terminal
from tollgate_cli.supervisor.rotation import Rotation, access_log, keep_small, log_file, shift

TINY = Rotation(size=10, kept=4, every=0.01)
LARGE = b"more than ten bytes"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "authz.log"


@pytest.fixture
def admin(tmp_path):
    return unix_endpoint(tmp_path / "envoy.sock")


def content(path):
    """The names of the files of a log, with what is in them."""
    return {file.name.removeprefix(path.stem): file.read_text() for file in path.parent.glob(f"{path.name}*")}


@contextmanager
def written(path):
    log = log_file(path)
    yield log
    log.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("0", "-0", id="the first"),
        pytest.param("01", "-01", id="the second"),
        pytest.param("01234", "-0123", id="the last is dropped"),
        pytest.param("01-34", "-0134", id="nothing is dropped while a number is free"),
    ],
)
def test_files_shift_by_one(path, before, after):
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, 5))]
    for name, text in zip(names, before, strict=False):
        if text != "-":
            name.write_text(text)

    shift(path, kept=4)

    assert "".join(name.read_text() if name.exists() else "-" for name in names).rstrip("-") == after
    assert len(list(path.parent.iterdir())) == len(after) - 1


async def test_a_log_that_has_grown_is_continued_in_a_new_file(path):
    with written(path) as log:
        log.write(LARGE)
        await log.rotate(TINY)
        log.write(b"new")
        await log.rotate(TINY)

    assert content(path) == {".log.1": LARGE.decode(), ".log": "new"}
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_a_log_keeps_is_bounded(path):
    with written(path) as log:
        for number in range(9):
            log.write(LARGE + b"%d" % number)
            await log.rotate(TINY)

    text = LARGE.decode()
    assert content(path) == {".log": "", **{f".log.{age}": f"{text}{9 - age}" for age in (1, 2, 3, 4)}}


async def test_a_log_that_somebody_else_renames_is_continued_too(path):
    with written(path) as log:
        path.rename(path.with_name("authz.log.mine"))
        log.write(b"old")
        await log.rotate(TINY)
        log.write(b"new")

    assert content(path) == {".log.mine": "old", ".log": "new"}


async def test_a_log_that_cannot_be_opened_again_goes_on_in_the_renamed_file(path, monkeypatch):
    def refused(*_):
        raise OSError(28, "No space left on device")

    with written(path) as log:
        log.write(LARGE)
        with monkeypatch.context() as patch:
            patch.setattr("tollgate_cli.supervisor.rotation.appended", refused)
            for _ in range(9):
                with pytest.raises(OSError, match="No space"):
                    await log.rotate(TINY)
            log.write(b", and more")
        await log.rotate(TINY)
        log.write(b"new")

    assert content(path) == {".log.1": f"{LARGE.decode()}, and more", ".log": "new"}


async def test_envoy_is_asked_to_reopen_its_log(path, admin):
    log = access_log(path, admin)
    async with envoy_admin(admin, active=0) as envoy:
        await eventually(admin.path.exists)
        await log.rotate(TINY)
        path.write_bytes(LARGE)
        for _ in range(3):
            await log.rotate(TINY)

    assert envoy.posts == ["/reopen_logs"]
    assert content(path) == {".log.1": LARGE.decode(), ".log": ""}


async def test_a_log_that_somebody_removes_is_reopened(path, admin):
    log = access_log(path, admin)
    async with envoy_admin(admin, active=0) as envoy:
        await eventually(admin.path.exists)
        path.unlink()
        await log.rotate(TINY)

    assert (envoy.posts, content(path)) == (["/reopen_logs"], {".log": ""})


async def test_what_envoy_has_not_reopened_is_shifted_no_further(path, admin):
    log = access_log(path, admin)
    for _ in range(9):
        path.write_bytes(LARGE)
        await log.rotate(TINY)  # nobody listens at the address
    assert set(content(path)) == {".log", ".log.1"}

    async with envoy_admin(admin, active=0) as envoy:
        await eventually(admin.path.exists)
        await log.rotate(TINY)

    assert envoy.posts == ["/reopen_logs"]


@asynccontextmanager
async def looked_after(*logs):
    stream = io.StringIO()
    task = asyncio.create_task(keep_small(logs, TINY, Terminal(stream, colour=False)))
    yield stream
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_log_that_cannot_be_rotated_is_one_warning_and_the_others_are(path, tmp_path):
    blocked = tmp_path / "store.log"
    (blocked.with_name("store.log.1") / "a folder that is not empty").mkdir(parents=True)
    for number in (2, 3, 4):
        blocked.with_name(f"store.log.{number}").mkdir()
    blocked.with_name("store.log.4").joinpath("neither").touch()
    with written(blocked) as broken, written(path) as well:
        broken.write(LARGE)
        async with looked_after(broken, well) as stream:
            for age in (1, 2, 3):
                well.write(LARGE)
                await eventually(path.with_name(f"{path.name}.{age}").exists)

    assert stream.getvalue().count("cannot rotate") == 1
    assert f"cannot rotate {blocked}, which grows until it can: " in stream.getvalue()
    assert blocked.read_bytes() == LARGE


async def test_an_envoy_that_does_not_reopen_its_log_is_one_warning(path, admin):
    async def refuses(_request):
        return PlainTextResponse("no", 503)

    server = HttpServer(Starlette(routes=[Route("/reopen_logs", refuses, methods=["POST"])]), admin)
    serving = asyncio.create_task(server.serve())
    await eventually(admin.path.exists)
    log = access_log(path, admin)
    path.write_bytes(LARGE)

    async with looked_after(log) as stream:
        await eventually(lambda: "Envoy does not reopen it" in stream.getvalue())
        with pytest.raises(AssertionError):
            await eventually(lambda: stream.getvalue().count("cannot rotate") > 1, within=0.3)
    server.stop()
    await serving

    assert set(content(path)) == {".log", ".log.1"}


def test_a_full_disk_is_an_error_of_the_write(path):
    path.symlink_to("/dev/full")

    with written(path) as log, pytest.raises(OSError, match="No space"):
        log.write(b"lost")
