"""Models that upstreams list while a configuration is live: other models are another configuration."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.compiled import config, route
from tests.support.discovery import Upstreams
from tests.support.eventually import eventually
from tests.support.live import World, hearing, world

URL = "http://127.0.0.1:11434"
BROKEN = "version: 1\nroutes: [\n"


def content(url: str = URL, **changes: Any) -> dict[str, Any]:
    discovery = {"upstreams": ["ollama"], "refresh": "1s", "grace": "5m"}
    written = config(**{"routes": [route()], "llm": {"auth": "none"}, "discovery": discovery, **changes})
    return {**written, "upstreams": {**written["upstreams"], "ollama": {"url": url, "api": "ollama"}}}


@asynccontextmanager
async def started(folder: Path, upstreams: Upstreams, written: Any = None) -> AsyncIterator[World]:
    """A live configuration that hears of models."""
    found = world(folder, content() if written is None else written, ask=upstreams.ask)
    asking = asyncio.create_task(found.live._outside.models.run())
    try:
        await found.live.start()
        async with hearing(found.live):
            yield found
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def listed(found: World) -> list[str]:
    """The models of what is live."""
    llm = found.live.current.gateway.llm
    return [] if llm is None else [model.name for model in llm.listed]


async def test_the_first_configuration_goes_live_with_its_models(tmp_path: Path):
    async with started(tmp_path, Upstreams({"ollama": ["a:1", "b:1"]})) as found:
        assert [listed(found), len(found.published.releases)] == [["a:1", "b:1"], 1]


async def test_it_goes_live_without_those_of_an_upstream_that_is_away(tmp_path: Path):
    upstreams = Upstreams()
    async with started(tmp_path, upstreams) as found:
        assert listed(found) == []

        upstreams.listed["ollama"] = ["a:1"]
        await eventually(lambda: listed(found) == ["a:1"])
        assert found.live.status.errors == ()


async def test_other_models_are_published_by_themselves_and_once(tmp_path: Path):
    upstreams = Upstreams({"ollama": ["a:1"]})
    async with started(tmp_path, upstreams) as found:
        upstreams.listed["ollama"] = ["a:1", "b:1"]
        await eventually(lambda: listed(found) == ["a:1", "b:1"])
        asked = len(upstreams.asked)
        await eventually(lambda: len(upstreams.asked) > asked)

        assert len(found.published.releases) == 2


async def test_they_are_published_while_the_file_is_broken(tmp_path: Path):
    upstreams = Upstreams({"ollama": ["a:1"]})
    async with started(tmp_path, upstreams) as found:
        found.write(BROKEN)
        await found.live.reload()
        upstreams.listed["ollama"] = ["b:1"]
        await eventually(lambda: listed(found) == ["b:1"])

        assert len(found.live.status.errors) == 1  # of the file


async def test_they_are_withdrawn_and_come_back(tmp_path: Path):
    upstreams = Upstreams({"ollama": ["a:1"]})
    async with started(tmp_path, upstreams) as found:
        del upstreams.listed["ollama"]
        await eventually(lambda: found.metric("tollgate_discovery_up", upstream="ollama") == 0)
        assert listed(found) == ["a:1"]

        found.clock.advance(301)
        await eventually(lambda: listed(found) == [])
        upstreams.listed["ollama"] = ["a:1"]
        await eventually(lambda: listed(found) == ["a:1"])


async def test_an_edit_keeps_the_models_and_a_new_address_has_its_own(tmp_path: Path):
    upstreams = Upstreams({"ollama": ["a:1"]})
    async with started(tmp_path, upstreams) as found:
        found.write(content(routes=[route(), route("other", "/other")]))
        await found.live.reload()
        assert listed(found) == ["a:1"]

        upstreams.listed["ollama"] = ["b:1"]
        found.write(content("http://127.0.0.1:11435"))
        await found.live.reload()
        assert listed(found) == ["b:1"]


async def test_without_discovery_there_are_none_and_nobody_is_asked(tmp_path: Path):
    upstreams = Upstreams({"ollama": ["a:1"]})
    async with started(tmp_path, upstreams) as found:
        found.write(config(routes=[route()]))
        await found.live.reload()
        asked = len(upstreams.asked)
        await asyncio.sleep(0.1)

        assert listed(found) == []
        assert len(upstreams.asked) == asked
        assert found.metric("tollgate_discovery_up", upstream="ollama") is None
