"""Four services on one store, or on a cluster, and 200 callers: never more than the limit, and a burst gets all of it.

What a sustained load gets less than the limit is printed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.limiters import callers, limiters, most_in_a_window, steady_share
from tests.support.limits import (
    CONSUMER,
    PLAN,
    SUBJECT,
    TENANT,
    asked,
    call,
    identified,
    limit,
    limit_set,
    metering,
    quota,
)
from tests.support.valkey import cluster_fleet, valkey_server

PROCESSES, CLIENTS, EACH = 4, 200, 10
LIMIT = 1000
TOKENS, OUTPUT = 300_000, 900
# A sustained load: seconds of it, of its window, and between two calls of a caller that is refused.
SECONDS, PERIOD, STEADY, PAUSE = 45.0, 10, 1000, 0.2
# Counters of one caller share a slot of a cluster; those of its plan and its tenant are elsewhere.
POLICIES = {
    "route/email": limit_set(limit(LIMIT, 3600, SUBJECT)),
    "route/many": limit_set(limit(LIMIT, 3600, SUBJECT), limit(LIMIT + 200, 3600, TENANT)),
    "route/chat": limit_set(metering=metering()),
    "route/pot": limit_set(),
    "route/steady": limit_set(limit(STEADY, PERIOD, SUBJECT)),
    "plan/small": limit_set(quota("tokens", TOKENS, CONSUMER)),
    "plan/pot": limit_set(limit(LIMIT, 3600, PLAN), quota("requests", LIMIT + 100, CONSUMER)),
}
STORES = ("one", "cluster")


@dataclass(frozen=True)
class Burst:
    """Calls, and how many of them can be afforded."""

    route: str
    plan: str = "-"
    metered: bool = False
    affordable: int = LIMIT

    def message(self, client: int, turn: int) -> bytes:
        caller = {"route": self.route, "plan": self.plan}
        if self.metered:
            return call(*asked(f"{client}.{turn}", output=OUTPUT, **caller))
        return call(identified(**caller))


@contextmanager
def store_address(kind: str, folder: Path) -> Iterator[str]:
    if kind == "one":
        with valkey_server(folder) as server:
            yield server.address
    else:
        with cluster_fleet(folder) as fleet:
            yield fleet.address


@pytest.fixture(scope="module", params=STORES)
def processes(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    with (
        store_address(request.param, folder) as address,
        limiters(folder, address, POLICIES, processes=PROCESSES) as started,
    ):
        yield started


@pytest.mark.parametrize(
    "burst",
    [
        pytest.param(Burst("email"), id="one-counter"),
        pytest.param(Burst("many"), id="two-counters-of-a-tenant"),
        pytest.param(Burst("pot", plan="pot"), id="counters-in-two-slots"),
        pytest.param(Burst("chat", plan="small", metered=True, affordable=TOKENS // OUTPUT), id="tokens-held"),
    ],
)
async def test_a_burst_passes_exactly_as_often_as_can_be_afforded(processes, burst):
    async with callers(processes) as clients:
        admitted = await clients.burst(CLIENTS, EACH, burst.message)

    print(f"{admitted} of {CLIENTS * EACH} calls were admitted, {burst.affordable} can be afforded")
    assert admitted == burst.affordable


async def test_no_window_of_a_sustained_load_has_more_than_the_limit(processes):
    message = call(identified(route="steady"))
    async with callers(processes) as clients:
        admitted = await clients.sustained(CLIENTS, SECONDS, message, pause=PAUSE)

    most = most_in_a_window(admitted, PERIOD)
    share = steady_share(admitted, limit=STEADY, period=PERIOD)
    print(f"{len(admitted)} admitted; at most {most} of {STEADY} in a window; {share:.3f} of the limit in the long run")
    assert most <= STEADY
    # 20/21 is what the parts of a window leave to those who always ask; the rest is that they pause
    assert share > 0.9
