"""A token that names an unknown key makes the authorizer ask for newer ones: once, and not for long."""

import asyncio

import pytest

from authz_service.newer_keys import LEAST_INTERVAL, NewerKeys, PolicyChanges
from tests.support.clock import StillClock

ISSUER = "https://accounts.example.com"


class Told:
    """Stands where the control plane is."""

    def __init__(self) -> None:
        self.changes = PolicyChanges()
        self.clock = StillClock()
        self.asked: list[str] = []
        self.newer = NewerKeys(self.changes, self.clock)
        self.newer.ask = self._ask
        self.answers = lambda: False

    async def _ask(self, issuer: str) -> bool:
        self.asked.append(issuer)
        await asyncio.sleep(0)
        return self.answers()


async def test_nothing_newer():
    told = Told()

    assert not await told.newer.of(ISSUER)


async def test_a_newer_policy_is_waited_for():
    told = Told()
    told.answers = lambda: True
    waiting = asyncio.create_task(told.newer.of(ISSUER))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    told.changes.tell()

    assert await waiting


async def test_a_policy_that_was_faster_than_the_answer():
    told = Told()

    def answer() -> bool:
        told.changes.tell()
        return True

    told.answers = answer

    assert await told.newer.of(ISSUER)


async def test_a_policy_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("authz_service.newer_keys.LONGEST_WAIT", 0.05)
    told = Told()
    told.answers = lambda: True

    assert not await told.newer.of(ISSUER)


async def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("authz_service.newer_keys.LONGEST_WAIT", 0.05)
    told = Told()

    async def never(_issuer: str) -> bool:
        return await asyncio.get_running_loop().create_future()

    told.newer.ask = never

    assert not await told.newer.of(ISSUER)


async def test_all_who_come_meanwhile_wait_together():
    told = Told()
    told.answers = lambda: True
    waiting = [asyncio.create_task(told.newer.of(ISSUER)) for _ in range(1000)]
    await asyncio.sleep(0.05)
    told.changes.tell()

    assert await asyncio.gather(*waiting) == [True] * 1000
    assert told.asked == [ISSUER]


async def test_one_who_goes_away_takes_nobody_along():
    told = Told()
    told.answers = lambda: True
    first, second = (asyncio.create_task(told.newer.of(ISSUER)) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.sleep(0)
    told.changes.tell()

    assert await second


async def test_an_issuer_is_asked_about_once_in_half_a_minute():
    told = Told()
    for _ in range(1000):
        await told.newer.of(ISSUER)
        told.clock.advance(0.1)

    assert len(told.asked) == round(1000 * 0.1 / LEAST_INTERVAL + 0.5)


async def test_one_issuer_is_not_in_the_way_of_another():
    told = Told()
    await told.newer.of(ISSUER)
    await told.newer.of("https://other.example")

    assert told.asked == [ISSUER, "https://other.example"]


async def test_nobody_to_ask():
    assert not await NewerKeys(PolicyChanges(), StillClock()).of(ISSUER)
