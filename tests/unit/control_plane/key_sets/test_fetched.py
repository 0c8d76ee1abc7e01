import asyncio
import io
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from control_plane.config.key_sets import KeySource
from control_plane.key_sets.fetched import FetchedKeySets
from control_plane.key_sets.kept import FOLDER, kept_sets
from control_plane.polling.follower import LEAST_INTERVAL
from control_plane.polling.kept import Kept
from service_kit.log import configure_logs
from tests.support.authz import jwks, rsa_jwk
from tests.support.clock import StillClock
from tests.support.eventually import eventually
from tests.support.key_sets import Published

ISSUER = "https://accounts.example.com"
URL = "https://keys.example.com/jwks"
OTHER = "https://other.example.com"


def source(issuer: str = ISSUER, url: str = URL, **changes: Any) -> KeySource:
    fields = {"algorithms": ("RS256",), "refresh": 3600.0, "private": False}
    return KeySource(issuer, url, **{**fields, **changes})


class Sets:
    """Sets on a folder of their own, and what was heard of them."""

    def __init__(self, folder: Path, published: Published) -> None:
        self.folder = folder
        self.published = published
        self.clock = StillClock()
        self.registry = CollectorRegistry()
        self.logs = io.StringIO()
        self.changes = 0
        self.fetched = FetchedKeySets(
            published, kept_sets(folder), clock=self.clock, log=configure_logs("control_plane", stream=self.logs),
            registry=self.registry, random=lambda: 0.5, changed=self._changed,
        )  # fmt: skip

    def _changed(self) -> None:
        self.changes += 1

    def kids(self, of: KeySource) -> list[str]:
        held = self.fetched.sets().get(of.name)
        return [] if held is None else [key["kid"] for key in json.loads(held)["keys"]]

    def metric(self, name: str, issuer: str = ISSUER) -> float | None:
        return self.registry.get_sample_value(f"tollgate_key_set_{name}", {"issuer": issuer})


@asynccontextmanager
async def sets(folder: Path, published: Published, *sources: KeySource) -> AsyncIterator[Sets]:
    """Sets that are fetched, of sources that are live."""
    found = Sets(folder, published)
    task = asyncio.create_task(found.fetched.run())
    try:
        await found.fetched.prepare(sources)
        await found.fetched.follow(sources)
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def one_key(kid: str = "k1") -> Published:
    return Published({URL: jwks(rsa_jwk(kid))})


async def test_a_configuration_waits_for_its_first_sets(tmp_path: Path):
    async with sets(tmp_path, one_key(), source()) as found:
        assert found.kids(source()) == ["k1"]
        assert found.fetched.lacking() == ()
        assert found.changes == 1


async def test_it_does_not_wait_for_those_that_do_not_come(tmp_path: Path):
    published = one_key()
    published.held.clear()
    found = Sets(tmp_path, published)
    task = asyncio.create_task(found.fetched.run())

    await found.fetched.prepare([source()], seconds=0.05)
    await found.fetched.follow([source()])

    assert found.fetched.lacking() == (ISSUER,)
    assert next(iter(found.fetched.troubles())).startswith(f"{ISSUER}: its keys were not fetched yet")
    published.held.set()
    await eventually(lambda: not found.fetched.lacking())
    task.cancel()


async def test_a_failure_keeps_the_last_good_set_for_ever(tmp_path: Path):
    async with sets(tmp_path, one_key(), source(refresh=0.01)) as found:
        found.published.documents.clear()
        found.clock.advance(100 * 86_400)
        await eventually(lambda: (found.metric("fetch_failures_total") or 0) >= 3)

        assert found.kids(source()) == ["k1"]
        assert (found.metric("age_seconds") or 0) >= 99 * 86_400
        assert "fetches failed" in next(iter(found.fetched.troubles()))
        assert found.logs.getvalue().count("key set not fetched") == 1


@pytest.mark.parametrize("body", [jwks(), "<html>", jwks({"kty": "oct", "k": "c2VjcmV0"})], ids=str)
async def test_a_set_that_is_refused_does_not_take_the_place_of_a_good_one(tmp_path: Path, body: str):
    async with sets(tmp_path, one_key(), source(refresh=0.01)) as found:
        found.published.documents[URL] = body
        await eventually(lambda: found.metric("fetch_failures_total"))

        assert found.kids(source()) == ["k1"]


async def test_another_set_is_told(tmp_path: Path):
    async with sets(tmp_path, one_key(), source(refresh=0.01)) as found:
        found.published.documents[URL] = jwks(rsa_jwk("k2"), rsa_jwk("k1"))
        await eventually(lambda: found.changes == 2)

        assert sorted(found.kids(source())) == ["k1", "k2"]
        assert found.metric("keys") == 2


async def test_the_same_set_is_not_told(tmp_path: Path):
    async with sets(tmp_path, one_key(), source(refresh=0.01)) as found:
        await eventually(lambda: (found.metric("fetches_total") or 0) >= 5)

        assert found.changes == 1


async def test_a_fault_in_what_is_read_costs_its_own_issuer(tmp_path: Path):
    published = one_key()
    published.broken = ZeroDivisionError()
    async with sets(tmp_path, published, source()) as found:
        assert found.fetched.lacking() == (ISSUER,)
        assert "key set not readable" in found.logs.getvalue()


async def test_a_restart_goes_on_with_what_was_fetched(tmp_path: Path):
    async with sets(tmp_path, one_key(), source()) as found:
        await eventually(lambda: list((tmp_path / FOLDER).glob("*.json")))
        fetched_at = found.clock.now()

    async with sets(tmp_path, Published({}), source()) as found:
        found.clock.seconds = fetched_at + 60
        assert found.kids(source()) == ["k1"]
        assert found.fetched.lacking() == ()
        assert found.metric("age_seconds") == 60


async def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path):
    kept_sets(tmp_path).save("x", Kept(jwks(rsa_jwk()).encode(), 1.0))
    (file,) = (tmp_path / FOLDER).iterdir()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def torn(text: str) -> str:
    return text[:-9]


def of_another(text: str) -> str:
    return json.dumps({**json.loads(text), "source": "y"})


def without_a_time(text: str) -> str:
    return json.dumps({**json.loads(text), "fetched_at": "now"})


def with_a_secret(text: str) -> str:
    return json.dumps({**json.loads(text), "set": jwks({"kty": "oct", "k": "c2VjcmV0"})})


@pytest.mark.parametrize("edit", [torn, of_another, without_a_time, with_a_secret, lambda _: "", lambda _: "\0"])
def test_what_cannot_be_trusted_to_be_what_was_kept_is_nothing(tmp_path: Path, edit: Any):
    kept = kept_sets(tmp_path)
    kept.save("x", Kept(jwks(rsa_jwk()).encode(), 1.0))
    (file,) = (tmp_path / FOLDER).iterdir()
    assert kept.load("x") is not None

    file.write_text(edit(file.read_text()))

    assert kept.load("x") is None


async def test_a_full_disk_costs_the_next_start_alone(tmp_path: Path):
    (tmp_path / FOLDER).write_text("no folder")
    async with sets(tmp_path, one_key(), source()) as found:
        await eventually(lambda: "key set not kept" in found.logs.getvalue())

        assert found.kids(source()) == ["k1"]


async def test_a_set_of_one_place_is_not_that_of_another(tmp_path: Path):
    async with sets(tmp_path, one_key(), source()) as found:
        await found.fetched.prepare([source(url="https://evil.example/"), source(OTHER)])

        assert found.kids(source(url="https://evil.example/")) == []
        assert found.kids(source(OTHER)) == ["k1"]


async def test_other_settings_keep_the_set(tmp_path: Path):
    async with sets(tmp_path, one_key(), source()) as found:
        found.published.documents.clear()
        await found.fetched.follow([source(refresh=60.0)])

        assert found.kids(source()) == ["k1"]


async def test_what_is_not_live_is_not_fetched(tmp_path: Path):
    async with sets(tmp_path, one_key(), source(refresh=0.01)) as found:
        await found.fetched.follow([])
        asked = len(found.published.asked)
        await asyncio.sleep(0.1)

        assert len(found.published.asked) <= asked + 1  # one may have been under way
        assert found.fetched.sets() == {}
        assert found.metric("keys") is None


async def test_what_is_lacking_can_be_asked_while_other_sources_are_about_to_be_live(tmp_path: Path):
    async with sets(tmp_path, one_key(), source()) as found:
        following = asyncio.create_task(found.fetched.follow([source(OTHER)]))
        await asyncio.sleep(0)

        assert found.fetched.lacking() == ()
        await following
        assert found.fetched.lacking() == (OTHER,)


class TestAsked:
    """Somebody holds a token with a key that is not in the set."""

    async def test_another_set_is_on_its_way(self, tmp_path: Path):
        async with sets(tmp_path, one_key(), source()) as found:
            found.clock.advance(60)
            found.published.documents[URL] = jwks(rsa_jwk("k2"))

            assert await found.fetched.refresh(ISSUER)
            assert found.kids(source()) == ["k2"]

    async def test_the_same_set_is_not(self, tmp_path: Path):
        async with sets(tmp_path, one_key(), source()) as found:
            found.clock.advance(60)

            assert not await found.fetched.refresh(ISSUER)

    async def test_the_source_that_is_live_is_asked(self, tmp_path: Path):
        others = [source(url=f"https://keys.example.com/{number}") for number in range(20)]
        async with sets(tmp_path, one_key(), source()) as found:
            await found.fetched.prepare(others)
            found.published.asked.clear()
            found.clock.advance(60)
            await found.fetched.refresh(ISSUER)

            assert found.published.asked == [URL]

    async def test_an_unknown_issuer_costs_nothing(self, tmp_path: Path):
        async with sets(tmp_path, one_key(), source()) as found:
            assert not await found.fetched.refresh(OTHER)
            assert found.published.asked == [URL]

    async def test_all_who_ask_at_once_are_one_fetch(self, tmp_path: Path):
        async with sets(tmp_path, one_key(), source()) as found:
            found.clock.advance(60)
            found.published.documents[URL] = jwks(rsa_jwk("k2"))
            found.published.held.clear()
            asking = [asyncio.create_task(found.fetched.refresh(ISSUER)) for _ in range(100)]
            await eventually(lambda: len(found.published.asked) == 2)
            found.published.held.set()

            assert await asyncio.gather(*asking) == [True] * 100
            assert len(found.published.asked) == 2

    async def test_it_is_fetched_once_in_half_a_minute(self, tmp_path: Path):
        async with sets(tmp_path, one_key(), source()) as found:
            for _ in range(1000):
                await found.fetched.refresh(ISSUER)
                found.clock.advance(0.1)

            assert len(found.published.asked) == 1 + round(1000 * 0.1 / LEAST_INTERVAL + 0.5)

    async def test_who_asks_a_moment_after_another_one_hears_of_the_same_set(self, tmp_path: Path):
        async with sets(tmp_path, one_key(), source()) as found:
            found.clock.advance(60)
            found.published.documents[URL] = jwks(rsa_jwk("k2"))
            await found.fetched.refresh(ISSUER)

            found.clock.advance(1)
            assert await found.fetched.refresh(ISSUER)
            found.clock.advance(10)
            assert not await found.fetched.refresh(ISSUER)
