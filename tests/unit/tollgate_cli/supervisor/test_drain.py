import asyncio

import pytest

from service_kit.clock import SystemClock
from service_kit.endpoint import unix_endpoint
from tests.support.envoy_admin import envoy_admin
from tests.support.eventually import eventually
from tollgate_cli.supervisor.drain import active_requests, drain

STATS = "http.admin.downstream_rq_active: 1\nhttp.public.downstream_rq_active: 2\nhttp.egress.downstream_rq_active: 1\n"


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        pytest.param(STATS, 3, id="the admin interface's own request does not count"),
        pytest.param("", 0, id="none"),
    ],
)
def test_active_requests(stats, expected):
    assert active_requests(stats) == expected


@pytest.fixture
async def envoy(tmp_path):
    address = unix_endpoint(tmp_path / "envoy.sock")
    async with envoy_admin(address, active=1) as admin:
        yield admin, address


async def test_draining_fails_health_checks_closes_listeners_and_waits_for_the_last_request(envoy):
    admin, address = envoy
    task = asyncio.create_task(drain(address, patience=10, clock=SystemClock()))
    await eventually(lambda: len(admin.posts) == 2)
    assert not task.done()

    admin.active = 0
    await asyncio.wait_for(task, 5)

    assert admin.posts == ["/healthcheck/fail", "/drain_listeners"]


async def test_patience_ends(envoy):
    _admin, address = envoy

    await asyncio.wait_for(drain(address, patience=0.2, clock=SystemClock()), 5)


async def test_an_envoy_that_is_gone_needs_no_draining(tmp_path):
    await asyncio.wait_for(drain(unix_endpoint(tmp_path / "none.sock"), patience=10, clock=SystemClock()), 5)
