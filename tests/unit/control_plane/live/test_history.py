"""Going back, starting again, and what consumers say late: the live configuration and its history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from control_plane.history.entries import CannotRollBack, NoSuchEntry, Result
from control_plane.history.history import FILE_NAME, History
from control_plane.publication.outcome import Outcome
from control_plane.server.status import NodeVerdict
from control_plane.snapshot import Release
from control_plane.xds.names import CLUSTER_TYPE, ROUTES_TYPE
from service_kit.contract import ENVOY_NODE_CLUSTER
from tests.support.clock import StillClock
from tests.support.compiled import config, route, written
from tests.support.eventually import eventually
from tests.support.live import World, hearing, refusal, world

ACCEPTS = NodeVerdict(ENVOY_NODE_CLUSTER, "envoy-1", "", settled=True, refusals=())
BROKEN = "version: 1\nroutes: [\n"


def content(*names: str, **changes: Any) -> dict[str, Any]:
    return config(routes=[route(name, f"/{name}") for name in names], **changes)


@asynccontextmanager
async def started(folder: Path, written_there: Any) -> AsyncIterator[World]:
    """A live configuration that hears its consumers."""
    found = world(folder, written_there)
    await found.live.start()
    async with hearing(found.live):
        yield found


async def goes_live(found: World, edit: Any | None = None) -> int:
    """The number of this edit, which an Envoy has taken."""
    if edit is not None:
        found.write(edit)
        await found.live.reload()
    await says(found, ACCEPTS)
    number = found.live.status.number
    assert number is not None
    await eventually(lambda: results(found.folder)[number] == "live")
    return number


async def says(found: World, *verdicts: NodeVerdict, of: Release | None = None) -> None:
    found.news.put_nowait(Outcome(of or found.live.published.release, verdicts))


async def refuse(found: World, type_url: str, *names: str, instead: Release) -> None:
    """Every Envoy refuses what is live, and these resources of it."""
    refused = found.live.published.release
    found.news.put_nowait(Outcome(refused, (), (refusal(type_url, "no", *names),), instead))


def results(folder: Path) -> dict[int, str]:
    history = History(folder / FILE_NAME, clock=StillClock(), warn=pytest.fail)
    try:
        return {entry.number: entry.result.value for entry in history.entries(1000)}
    finally:
        history.close()


async def test_a_rollback_is_live_until_the_file_changes(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        first = await goes_live(found)
        await goes_live(found, content("two"))

        await found.live.roll_back(first)
        assert found.route_names == ["one"]
        assert found.live.status.rolled_back
        assert found.metric("tollgate_config_valid") == 0
        assert found.metric("tollgate_config_rolled_back") == 1

        await found.live.reload()
        assert found.route_names == ["one"]

        found.write(content("three"))
        await found.live.reload()
        assert found.route_names == ["three"]
        assert found.live.status.rolled_back is None


async def test_a_rollback_holds_through_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        first = await goes_live(found)
        await goes_live(found, content("two"))
        await found.live.roll_back(first)

    async with started(tmp_path, content("two")) as found:
        assert found.route_names == ["one"]
        await found.live.roll_back(None)
        assert found.route_names == ["two"]
        assert found.live.status.rolled_back is None

    async with started(tmp_path, content("two")) as found:
        assert found.route_names == ["two"]


async def test_a_rollback_to_nothing_changes_nothing(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        with pytest.raises(NoSuchEntry, match="has no entry 99"):
            await found.live.roll_back(99)

        assert found.route_names == ["one"]
        assert found.live.status.rolled_back is None


async def test_a_rollback_that_cannot_be_live_changes_nothing(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-in-a-file-of-its-own")
    identity = {"bearer_tokens": [{"name": "a", "token": "file:token"}]}
    async with started(tmp_path, content("one", identity=identity)) as found:
        first = await goes_live(found)
        await goes_live(found, content("two"))
        token.unlink()

        with pytest.raises(CannotRollBack, match="there is no such file"):
            await found.live.roll_back(first)

        assert found.route_names == ["two"]
        assert found.live.status.rolled_back is None

    async with started(tmp_path, content("two")) as found:
        assert found.route_names == ["two"]


async def test_the_oldest_entry_can_be_rolled_back_to_when_the_history_is_full(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        first = await goes_live(found)
        inputs = found.live.current.loaded.inputs

    history = History(tmp_path / FILE_NAME, clock=StillClock(), warn=pytest.fail)
    for number in range(98):
        history.accepted("filler", inputs, f"digest-{number}", Result.SENT, ())
    history.close()

    async with started(tmp_path, content("two")) as found:
        assert await goes_live(found) == 100
        await found.live.roll_back(first)
        await found.live.reload()  # what the rollback holds is still there to be read

        assert found.route_names == ["one"]
        assert found.live.status.errors == ()


async def test_who_asks_for_a_rollback_may_go_away(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        first = await goes_live(found)
        await goes_live(found, content("two"))

        asked = asyncio.create_task(found.live.roll_back(first))
        await asyncio.sleep(0)
        asked.cancel()
        await eventually(lambda: found.live.status.rolled_back)

        assert found.route_names == ["one"]


async def test_a_rollback_that_envoys_refuse_is_let_go(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        first = await goes_live(found)
        await goes_live(found, content("two"))
        good = found.live.published.release
        await found.live.roll_back(first)

        await refuse(found, ROUTES_TYPE, "tollgate:routes", instead=good)
        await eventually(lambda: found.live.status.rolled_back is None)

        assert found.route_names == ["two"]


async def test_a_restart_after_an_edit_serves_the_file_at_once(tmp_path: Path) -> None:
    """What was last good is what Envoys may run: it stays beside the file's, and in no entry of its own."""
    async with started(tmp_path, content("one")) as found:
        await goes_live(found)

    other = {"other": {"url": "http://127.0.0.1:9002"}}
    edited = {**config(upstreams=other), "routes": [route("two", "/two", upstream="other")]}
    async with started(tmp_path, edited) as found:
        assert found.route_names == ["two"]
        assert found.published.earlier is not None
        assert "email" in found.published.earlier.envoy.of(CLUSTER_TYPE)
        assert found.live.status.number == 2
        assert len(results(tmp_path)) == 2


async def test_a_restart_with_a_broken_file_serves_what_was_last_good(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        await goes_live(found)

    async with started(tmp_path, BROKEN) as found:
        assert found.route_names == ["one"]
        assert found.live.status.restored.startswith(f"{tmp_path}/gateway.yaml:3:1: ")
        assert found.live.status.errors

        found.write(content("three"))
        await found.live.reload()
        assert (found.route_names, found.live.status.restored, found.live.status.errors) == (["three"], "", ())


async def test_what_nobody_took_is_nothing_to_start_from(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        await goes_live(found)
        found.write(content("two"))
        await found.live.reload()

    written(tmp_path, BROKEN)
    async with started(tmp_path, BROKEN) as found:
        assert found.route_names == ["one"]


async def test_a_comment_makes_nothing_good_that_nobody_took(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        found.write((tmp_path / "gateway.yaml").read_text() + "# a comment\n")
        await found.live.reload()

        assert results(tmp_path) == {1: "sent", 2: "sent"}


async def test_a_late_refusal_does_not_hide_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        await goes_live(found)
        good = found.live.published.release
        found.write(content("one", "two"))
        await found.live.reload()
        found.write(BROKEN)
        await found.live.reload()

        await refuse(found, ROUTES_TYPE, "tollgate:routes", instead=good)
        await eventually(lambda: found.live.status.held)

        assert "gateway.yaml:3:1: " in found.live.status.errors[0]
        assert found.route_names == ["one", "two"]  # as it is written
        assert [item.name for item in found.live.published.candidate.gateway.routes] == ["one"]


async def test_what_is_held_back_goes_live_when_it_is_corrected(tmp_path: Path) -> None:
    async with started(tmp_path, content("one")) as found:
        await goes_live(found)
        good = found.live.published.release
        found.write(content("one", "two"))
        await found.live.reload()
        await refuse(found, ROUTES_TYPE, "tollgate:routes", instead=good)
        await eventually(lambda: found.live.status.held)
        assert found.metric("tollgate_config_held_back", kind="routes") == 1

        found.write(config(routes=[route("one", "/one"), route("two", "/other")]))
        await found.live.reload()

        assert found.live.status.held == ()
        assert found.metric("tollgate_config_held_back", kind="routes") == 0
        assert sorted(item.name for item in found.live.published.candidate.gateway.routes) == ["one", "two"]
