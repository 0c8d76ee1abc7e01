"""The trail of a control plane: what is asked for is written before it is done, what happens is never held up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Event

import pytest
from prometheus_client import CollectorRegistry

from control_plane import audit
from control_plane.audit import Act, AuditUnavailable, Trail
from service_kit.audit import AUDIT_NAME, FILE, AuditEvent, AuditFile, By, Result
from tests.support.audit import Kept, audit_trail, in_folder
from tests.support.eventually import eventually

ADMIN = By("admin", "http 127.0.0.1:5000")


class Refused(Exception):  # noqa: N818 - what operations say
    """What the caller asked for cannot be."""


def verdict(error: Exception) -> Result | None:
    return Result.REFUSED if isinstance(error, Refused) else None


async def ask(trail: Trail, error: Exception | None = None, done: list[str] | None = None) -> str:
    async def work(act: Act) -> str:
        if done is not None:
            done.append(act.actor)
        if error is not None:
            raise error
        act.object, act.old, act.new = "key k1", {"plan": "a"}, {"plan": "b"}
        return "answer"

    return await trail.done(ADMIN, "key.create", "consumer acme", work, verdict=verdict)


@asynccontextmanager
async def running(trail: Trail) -> AsyncIterator[None]:
    task = asyncio.create_task(trail.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_act_is_two_lines_of_one_id():
    kept = Kept()
    assert await ask(audit_trail(kept)) == "answer"

    begun, ended = kept.events
    assert (begun.result, begun.object, begun.new) == (Result.BEGUN, "consumer acme", None)
    assert ended == AuditEvent(
        begun.id, begun.at, "admin", "http 127.0.0.1:5000", "key.create", "key k1", {"plan": "a"}, {"plan": "b"},
        Result.DONE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "result", "why"),
    [
        pytest.param(Refused("no such key"), Result.REFUSED, "no such key", id="refused"),
        pytest.param(RuntimeError("hunter2"), Result.FAILED, "RuntimeError", id="what-nobody-foresaw-says-nothing"),
    ],
)
async def test_what_became_of_an_act_that_did_not_succeed(error, result, why):
    kept = Kept()
    with pytest.raises(type(error)):
        await ask(audit_trail(kept), error)

    (ended,) = kept.ended
    assert (ended.result, ended.why, ended.object) == (result, why, "consumer acme")


async def test_what_cannot_be_written_is_not_begun():
    kept, done = Kept(), []
    trail = audit_trail(kept)
    kept.full = True
    with pytest.raises(AuditUnavailable, match="--audit-log"):
        await ask(trail, done=done)
    assert (done, kept.events) == ([], [])

    kept.full = False
    await ask(trail, done=done)
    assert (done, [event.result for event in kept.ended]) == (["admin"], [Result.DONE])


async def test_how_an_act_ended_waits_for_a_disk_that_is_full_by_then(monkeypatch):
    monkeypatch.setattr(audit, "TRY_AGAIN", 0.01)
    kept, registry = Kept(), CollectorRegistry()
    trail = audit_trail(kept, registry=registry)

    async def work(_act: Act) -> str:
        kept.full = True
        return "answer"

    assert await trail.done(ADMIN, "key.create", "consumer acme", work, verdict=verdict) == "answer"
    assert registry.get_sample_value("tollgate_audit_waiting") == 1
    async with running(trail):
        kept.full = False
        await eventually(lambda: len(kept.ended) == 1)
    assert registry.get_sample_value("tollgate_audit_waiting") == 0


async def test_who_goes_away_ends_nothing():
    kept, goes_on = Kept(), asyncio.Event()
    trail = audit_trail(kept)

    async def work(_act: Act) -> None:
        await goes_on.wait()

    asking = asyncio.create_task(trail.done(ADMIN, "key.create", "consumer acme", work, verdict=verdict))
    await eventually(lambda: kept.events)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    goes_on.set()
    await trail.close()

    assert [event.result for event in kept.ended] == [Result.DONE]


async def test_what_happens_by_itself_waits_in_its_order(monkeypatch):
    monkeypatch.setattr(audit, "MOST_WAITING", 3)
    kept, registry = Kept(), CollectorRegistry()
    trail = audit_trail(kept, registry=registry)
    for number in range(5):
        trail.note(By(FILE, "file gateway.yaml"), "configuration.accepted", f"{number}")

    await trail.close()
    assert [event.object for event in kept.events] == ["2", "3", "4"]
    assert registry.get_sample_value("tollgate_audit_lost_total") == 2


async def test_a_process_that_stops_while_it_writes_writes_nothing_twice():
    begun, goes_on = Event(), Event()

    class Slow(Kept):
        def append(self, *events: AuditEvent) -> None:
            begun.set()
            assert goes_on.wait(10)
            super().append(*events)

    kept = Slow()
    trail = audit_trail(kept)
    async with running(trail):
        trail.note(By(FILE, "file gateway.yaml"), "configuration.accepted", "configuration")
        await eventually(begun.is_set)
    goes_on.set()
    await trail.close()

    assert len(kept.events) == 1


async def test_the_next_process_ends_what_was_left_open(tmp_path: Path):
    file = AuditFile(tmp_path / AUDIT_NAME)
    file.append(AuditEvent("left", 1.0, "admin", "grpc unix", "key.revoke", "key k1"))
    trail = audit_trail(file)
    await trail.begin()
    await trail.close()

    (ended,) = in_folder(tmp_path)
    assert (ended.id, ended.actor, ended.result) == ("left", "admin", Result.UNKNOWN)
    assert "ended before" in ended.why
