"""Configurations in the audit trail: what is live instead of what, by names alone, and what was refused."""

from pathlib import Path
from typing import Any

import pytest

from control_plane.config.errors import InvalidConfig
from control_plane.config.load import load
from control_plane.config.model import Config
from control_plane.history.entries import CannotRollBack
from control_plane.live.changes import changes
from control_plane.publication.outcome import Outcome
from control_plane.xds.names import ROUTES_TYPE
from service_kit.audit import AuditEvent
from tests.support.audit import Kept, audit_trail
from tests.support.compiled import config, route, written
from tests.support.eventually import eventually
from tests.support.live import World, hearing, refusal
from tests.support.live import world as world_of

GOOD = config(routes=[route()])
BETTER = config(routes=[route(), route("more", "/more")])
BROKEN = config(routes=[route(upstream="gone")])


class Told:
    """A world, and what the trail was told of it."""

    def __init__(self, folder: Path, content: Any = GOOD) -> None:
        self.kept = Kept()
        self.trail = audit_trail(self.kept)
        self.world: World = world_of(folder, content, trail=self.trail)

    @property
    def live(self):
        return self.world.live

    async def reload(self, content: Any) -> None:
        self.world.write(content)
        await self.live.reload()

    async def events(self) -> list[AuditEvent]:
        await self.trail.close()
        return self.kept.events


def names(events: list[AuditEvent]) -> list[tuple[str, str, str]]:
    return [(event.action.removeprefix("configuration."), event.actor, event.result.value) for event in events]


async def test_what_the_file_says_is_told_once(tmp_path):
    told = Told(tmp_path)
    await told.live.start()
    await told.reload(BETTER)
    await told.live.reload()

    first, second = await told.events()
    assert names([first, second]) == [("accepted", "file", "done")] * 2
    assert (first.old, second.old) == (None, {name: (first.new or {})[name] for name in ("digest", "number")})
    assert (second.new or {})["changed"] == {"routes": {"added": ["more"]}}
    assert second.origin.endswith("gateway.yaml")


async def test_a_mistake_is_refused_with_its_place(tmp_path):
    told = Told(tmp_path)
    await told.live.start()
    await told.reload(BROKEN)

    _, refused = await told.events()
    assert names([refused]) == [("refused", "file", "refused")]
    assert "gone" in refused.why


async def test_a_mistake_at_the_start(tmp_path):
    told = Told(tmp_path, BROKEN)
    with pytest.raises(InvalidConfig):
        await told.live.start()

    assert names(await told.events()) == [("refused", "file", "refused")]


async def test_a_rollback_is_told_by_who_asks_for_it_and_by_nobody_else(tmp_path):
    told = Told(tmp_path)
    await told.live.start()
    await told.reload(BETTER)
    await told.live.roll_back(1)
    with pytest.raises(CannotRollBack):
        await told.live.roll_back(99)

    assert len(await told.events()) == 2


async def test_what_consumers_refuse_is_told_of_the_gateway(tmp_path):
    told = Told(tmp_path)
    await told.live.start()
    good = told.live.published.release
    async with hearing(told.live):
        await told.reload(BETTER)
        refused = Outcome(told.live.published.release, (), (refusal(ROUTES_TYPE, "no"),), good)
        told.world.news.put_nowait(refused)
        await eventually(lambda: len(told.trail._waiting) == 3)

    *_, held = await told.events()
    assert names([held]) == [("held_back", "gateway", "done")]
    assert ((held.new or {})["held_back"], held.why) == (["more"], "node-1 refuses it: no")


def test_no_value_of_a_configuration_is_told(tmp_path):
    before, now = (of_token(tmp_path, token) for token in ("hunter2hunter2hunter2", "hunter3hunter3hunter3"))

    assert changes(before, now) == {"identity": "changed"}
    assert changes(before, before) == {}
    assert changes(None, before) == {"listeners": 1, "upstreams": 1, "routes": 1}


def of_token(folder: Path, token: str) -> Config:
    identity = {"bearer_tokens": [{"name": "a", "token": token, "subject": "s"}]}
    return loaded(folder, config(routes=[route()], identity=identity))


def loaded(folder: Path, content: Any) -> Config:
    return load(written(folder, content), {}).config


def test_many_names_are_counted(tmp_path):
    many = config(routes=[route(f"r{number}", f"/r{number}") for number in range(40)])

    added = changes(loaded(tmp_path, GOOD), loaded(tmp_path, many))["routes"]["added"]
    assert (len(added), added[-1]) == (11, "and 30 more")
