"""Counters on the store as the service reaches it: with no more rights than the page says, and while it is full."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ratelimit_service.claims import Calendar, CalendarUnit, Claim, Hold, Settled
from ratelimit_service.connections import Login
from ratelimit_service.counters import Counters
from ratelimit_service.failures import FailureKind, Unanswered
from ratelimit_service.keys import counter_key, slot_name
from ratelimit_service.store import redis_store
from ratelimit_service.windows import MICROSECONDS, Window
from service_kit.clock import SystemClock
from tests.support.eventually import eventually
from tests.support.steps import PATIENT, Told
from tests.support.valkey import valkey_server

PAGE = (Path(__file__).parents[2] / "docs/store.md").read_text()
RIGHTS = [*re.search(r"`(~tg:\*[^`]*)`", PAGE)[1].split(), "+info"]
SLOT = ["tenant", "acme"]
HOUR = Window(3, 3600 * MICROSECONDS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with valkey_server(tmp_path_factory.mktemp("store")) as running:
        yield running


def claim(name, *, measure=HOUR, **more):
    return Claim(counter_key(SLOT, [name]), slot_name(SLOT), measure, 1, **more)


async def test_a_user_with_the_rights_of_the_page_can_do_everything(server):
    server.command("ACL", "SETUSER", "limits", "reset", "on", ">secret", *RIGHTS)
    told = Told()
    store = redis_store(server.address, replace(PATIENT, login=Login("limits", "secret")), watch=told)
    counters = Counters(store, SystemClock())
    month = claim("rights-month", measure=Calendar(5, CalendarUnit.MONTH), held=True)

    taken = await counters.take([claim("rights"), month], Hold("h1", 60 * MICROSECONDS))
    settled = await counters.settle("h1", [replace(month, amount=2)])
    granted = await counters.grant(month, 10)
    await counters.reset(month)
    (left,) = await counters.read([month])

    assert (taken.admitted, settled, granted.used, granted.granted) == (True, Settled(known=True), 2, 10)
    assert left.used == 0
    assert await counters.unsettled(10) == ()
    assert await eventually(lambda: told.surveys)
    await store.close()


async def test_a_full_store_refuses_what_is_used_up_and_fails_what_it_must_write(server):
    store = redis_store(server.address, PATIENT)
    counters = Counters(store, SystemClock())
    for _ in range(3):
        await counters.take([claim("full")])
    server.command("CONFIG", "SET", "maxmemory", 1)

    assert not (await counters.take([claim("full")])).admitted
    with pytest.raises(Unanswered) as failure:
        await counters.take([claim("free")])

    assert failure.value.kind is FailureKind.FULL
    server.command("CONFIG", "SET", "maxmemory", 0)
    await store.close()
