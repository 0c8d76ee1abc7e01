import asyncio
import io
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from control_plane.config.values.network import upstream_url
from control_plane.discovery.discovery import DiscoveredModels
from control_plane.discovery.kept import FOLDER, kept_models
from control_plane.discovery.sources import ModelSource
from service_kit.log import configure_logs
from tests.support.clock import StillClock
from tests.support.discovery import Upstreams
from tests.support.eventually import eventually

GRACE = 300.0


def source(upstream: str = "ollama", url: str = "http://gpu:11434", **changes: Any) -> ModelSource:
    fields = {"provider": "ollama", "refresh": 0.01, "grace": GRACE, "connect_timeout": 1.0}
    return ModelSource(upstream, addresses=(upstream_url(url),), **{**fields, **changes})


class Found:
    """Models on a folder of their own, and what was heard of them."""

    def __init__(self, folder: Path, upstreams: Upstreams, clock: StillClock) -> None:
        self.upstreams = upstreams
        self.clock = clock
        self.registry = CollectorRegistry()
        self.logs = io.StringIO()
        self.changes = 0
        self.models = DiscoveredModels(
            upstreams.ask, kept_models(folder), clock=clock, log=configure_logs("control_plane", stream=self.logs),
            registry=self.registry, random=lambda: 0.5, changed=self._changed, look=0.01,
        )  # fmt: skip

    def _changed(self) -> None:
        self.changes += 1

    def names(self, upstream: str = "ollama") -> list[str]:
        return [model.name for model in self.models.found()[upstream]]

    def metric(self, name: str, upstream: str = "ollama") -> float | None:
        return self.registry.get_sample_value(f"tollgate_discovery_{name}", {"upstream": upstream})

    def standing(self) -> str:
        (state,) = self.models.states()
        return state.standing.value


@asynccontextmanager
async def found(
    folder: Path, upstreams: Upstreams, *sources: ModelSource, clock: StillClock | None = None, seconds: float = 3.0
) -> AsyncIterator[Found]:
    """Models of sources that are live."""
    made = Found(folder, upstreams, clock or StillClock())
    task = asyncio.create_task(made.models.run())
    try:
        await made.models.prepare(sources, seconds=seconds)
        await made.models.follow(sources)
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def holding() -> Upstreams:
    """Nobody answers, and nobody refuses to."""
    upstreams = Upstreams()
    upstreams.held.clear()
    return upstreams


def two_models() -> Upstreams:
    return Upstreams({"ollama": ["llama3.1:8b", "qwen3:8b"]})


async def silent(made: Found) -> None:
    """The upstream does not answer from now on, and that is known."""
    del made.upstreams.listed["ollama"]
    await eventually(lambda: made.standing() != "up")


async def test_what_is_listed_is_found(tmp_path: Path):
    async with found(tmp_path, two_models(), source()) as made:
        assert made.names() == ["llama3.1:8b", "qwen3:8b"]
        assert (made.metric("up"), made.metric("models"), made.metric("failures_total")) == (1, 2, 0)
        assert list(made.models.troubles()) == []


async def test_models_come_and_go_as_they_are_listed(tmp_path: Path):
    async with found(tmp_path, two_models(), source()) as made:
        before = made.changes
        made.upstreams.listed["ollama"] = ["qwen3:8b", "new:1b"]
        await eventually(lambda: made.changes > before)

        assert made.names() == ["new:1b", "qwen3:8b"]


async def test_the_same_list_is_not_told(tmp_path: Path):
    async with found(tmp_path, two_models(), source()) as made:
        asked = len(made.upstreams.asked)
        await eventually(lambda: len(made.upstreams.asked) > asked + 4)

        assert made.changes == 1


async def test_models_of_a_silent_upstream_stay_for_its_grace_and_are_withdrawn_then(tmp_path: Path):
    async with found(tmp_path, two_models(), source()) as made:
        await silent(made)
        made.clock.advance(GRACE)
        assert (made.standing(), len(made.names()), made.metric("up")) == ("away", 2, 0)
        assert "its 2 models stay for now: nobody answers" in next(made.models.troubles())
        before = made.changes

        made.clock.advance(1)
        await eventually(lambda: made.changes > before)

        assert (made.standing(), made.names(), made.metric("models")) == ("down", [], 0)
        assert "its 2 models are withdrawn: nobody answers" in next(made.models.troubles())
        assert made.models.states()[0].since == made.clock.now() - 1


async def test_they_come_back_by_themselves(tmp_path: Path):
    async with found(tmp_path, two_models(), source()) as made:
        await silent(made)
        made.clock.advance(GRACE + 1)
        await eventually(lambda: made.changes == 2)

        made.upstreams.listed["ollama"] = ["llama3.1:8b", "qwen3:8b"]
        await eventually(lambda: made.changes == 3)

        assert (made.standing(), len(made.names())) == ("up", 2)


async def test_the_grace_counts_from_when_it_ceased_to_answer(tmp_path: Path):
    """However long the last answer is ago: an upstream is asked seldom where `refresh` is long."""
    async with found(tmp_path, two_models(), source()) as made:
        made.upstreams.held.clear()
        made.clock.advance(10 * GRACE)
        assert len(made.names()) == 2

        del made.upstreams.listed["ollama"]
        made.upstreams.held.set()
        await eventually(lambda: made.standing() != "up")

        assert (made.standing(), len(made.names())) == ("away", 2)


@pytest.mark.parametrize(
    ("ago", "left"), [pytest.param(GRACE - 1, 2, id="within-the-grace"), pytest.param(GRACE + 1, 0, id="after-it")]
)
async def test_a_start_goes_on_from_what_was_found_as_long_as_the_grace_lasts(tmp_path: Path, ago: float, left: int):
    clock = StillClock()
    async with found(tmp_path, two_models(), source(), clock=clock):
        await eventually(lambda: list((tmp_path / FOLDER).glob("*.json")))
    clock.advance(ago)

    async with found(tmp_path, Upstreams(), source(), clock=clock) as made:
        assert len(made.names()) == left
        assert made.metric("age_seconds") == ago
        if left:
            made.clock.advance(2)
            await eventually(lambda: made.names() == [])


async def test_a_start_waits_for_no_upstream_whose_models_it_knows(tmp_path: Path):
    async with found(tmp_path, two_models(), source()):
        await eventually(lambda: list((tmp_path / FOLDER).glob("*.json")))

    async with found(tmp_path, holding(), source(), seconds=60.0) as made:
        assert len(made.names()) == 2
        assert (made.standing(), made.models.states()[0].reason) == ("away", "it has not been asked yet")


async def test_it_waits_for_others_no_longer_than_it_should(tmp_path: Path):
    async with found(tmp_path, holding(), source(), seconds=0.05) as made:
        assert made.names() == []
        assert next(made.models.troubles()) == "models of ollama: none was found yet: it has not been asked yet"
        made.upstreams.listed["ollama"] = ["a"]
        made.upstreams.held.set()
        await eventually(lambda: made.names() == ["a"])


async def test_it_waits_once_for_an_upstream_that_hangs(tmp_path: Path):
    async with found(tmp_path, holding(), source(), seconds=0.05) as made, asyncio.timeout(10):
        await made.models.prepare([source()], seconds=600.0)


async def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path):
    async with found(tmp_path, two_models(), source()):
        await eventually(lambda: list((tmp_path / FOLDER).glob("*.json")))
        (file,) = (tmp_path / FOLDER).glob("*.json")

        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_other_settings_keep_the_models_and_another_place_does_not(tmp_path: Path):
    async with found(tmp_path, two_models(), source()) as made:
        made.upstreams.held.clear()
        made.clock.advance(10 * GRACE)
        await made.models.follow([source(refresh=60.0)])
        assert (made.standing(), len(made.names())) == ("up", 2)

        await made.models.follow([source(url="http://other:1")])
        assert made.names() == []


async def test_a_configuration_that_is_prepared_changes_nothing_for_the_live_one(tmp_path: Path):
    upstreams = two_models()
    async with found(tmp_path, upstreams, source()) as made:
        other = source(url="http://other:1", provider="openai")
        upstreams.held.clear()
        await made.models.prepare([other], seconds=0.01)

        assert len(made.names()) == 2
        made.models.choose([other])
        assert made.names() == []
        made.models.choose([source()])
        assert len(made.names()) == 2


@pytest.mark.parametrize(
    ("listed", "required", "reasons"),
    [
        pytest.param(["a"], True, [], id="with-models"),
        pytest.param([], True, ["upstream ollama is required and lists no model"], id="with-none"),
        pytest.param(None, True, ["upstream ollama is required and does not list its models"], id="silent"),
        pytest.param(None, False, [], id="silent-and-ignored"),
    ],
)
async def test_a_required_upstream_without_models_is_not_ready(
    tmp_path: Path, listed: list[str] | None, required: bool, reasons: list[str]
):
    upstreams = Upstreams({} if listed is None else {"ollama": listed})
    async with found(tmp_path, upstreams, source(required=required)) as made:
        assert list(made.models.unready()) == reasons


async def test_a_required_upstream_is_ready_until_its_grace_ends(tmp_path: Path):
    async with found(tmp_path, two_models(), source(required=True)) as made:
        await silent(made)
        assert list(made.models.unready()) == []

        made.clock.advance(GRACE + 1)
        assert len(list(made.models.unready())) == 1
