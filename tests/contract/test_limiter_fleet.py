"""Two services as processes on one store: together they admit what one would."""

import pytest

from tests.support.limiters import callers, limiters
from tests.support.limits import CONSUMER, SUBJECT, asked, call, identified, limit, limit_set, metering, quota
from tests.support.valkey import valkey_server

LIMIT, CLIENTS, EACH = 100, 50, 4
TOKENS, OUTPUT = 20_000, 900
POLICIES = {
    "route/email": limit_set(limit(LIMIT, 600, SUBJECT)),
    "route/chat": limit_set(metering=metering()),
    "plan/small": limit_set(quota("tokens", TOKENS, CONSUMER)),
}


def plain(_client: int, _turn: int) -> bytes:
    return call(identified())


def metered(client: int, turn: int) -> bytes:
    return call(*asked(f"{client}.{turn}", output=OUTPUT, route="chat", plan="small"))


@pytest.mark.parametrize(("message", "affordable"), [(plain, LIMIT), (metered, TOKENS // OUTPUT)])
async def test_a_burst_into_an_empty_window_passes_exactly_as_often_as_the_limit_says(tmp_path, message, affordable):
    with (
        valkey_server(tmp_path) as store,
        limiters(tmp_path, store.address, POLICIES, processes=2) as processes,
    ):
        async with callers(processes) as clients:
            admitted = await clients.burst(CLIENTS, EACH, message)

    assert admitted == affordable
