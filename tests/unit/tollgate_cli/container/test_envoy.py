import asyncio
from pathlib import Path

import pytest

from service_kit.clock import SystemClock
from service_kit.endpoint import TcpEndpoint, listening_socket, unix_endpoint
from tests.support.envoy import envoy_binary
from tests.support.envoy_admin import envoy_admin
from tests.support.eventually import eventually
from tollgate_cli.container.envoy import Settings, exit_code, outlast, run
from tollgate_cli.supervisor.asking import accepts
from tollgate_cli.supervisor.envoy import BootstrapError

CLOCK = SystemClock()


@pytest.fixture
def settings(tmp_path):
    def of(binary):
        return Settings(
            binary=binary,
            control_plane=unix_endpoint(tmp_path / "xds.sock"),
            admin=unix_endpoint(tmp_path / "envoy.sock"),
            tls=None,
            memory=256 << 20,
            log_level="warning",
            drain_delay=0,
            drain_patience=10,
        )

    return of


@pytest.fixture
def script(tmp_path):
    """A program that stands for Envoy."""

    def of(text: str) -> Path:
        path = tmp_path / "envoy"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return of


@pytest.fixture
def control_plane(tmp_path):
    with listening_socket(unix_endpoint(tmp_path / "xds.sock")):
        yield


async def test_envoy_runs_until_it_is_asked_to_stop(settings, control_plane):
    chosen, stop = settings(envoy_binary()), asyncio.Event()
    running = asyncio.create_task(run(chosen, CLOCK, stop))
    await eventually(lambda: accepts(chosen.admin))

    stop.set()

    assert await asyncio.wait_for(running, 20) == 0
    assert not await accepts(chosen.admin)


async def test_requests_in_progress_finish_before_envoy_stops(settings, script, control_plane, tmp_path):
    started = tmp_path / "started"
    chosen, stop = settings(script(f"touch {started}; exec sleep 60")), asyncio.Event()
    running = asyncio.create_task(run(chosen, CLOCK, stop))
    await eventually(started.exists)
    async with envoy_admin(chosen.admin, active=1) as admin:
        stop.set()
        await eventually(lambda: len(admin.posts) == 2)
        assert not running.done()

        admin.active = 0

        assert await asyncio.wait_for(running, 20) == 0
        assert admin.posts == ["/healthcheck/fail", "/drain_listeners"]


@pytest.mark.parametrize(
    ("text", "code"),
    [pytest.param("exit 3", 3, id="by itself"), pytest.param("kill -KILL $$", 137, id="by a signal")],
)
async def test_an_envoy_that_ends_unasked_ends_the_container(settings, script, control_plane, text, code):
    assert await asyncio.wait_for(run(settings(script(text)), CLOCK, asyncio.Event()), 20) == code


async def test_it_waits_for_the_control_plane(settings, script, tmp_path):
    running = asyncio.create_task(run(settings(script("exit 3")), CLOCK, asyncio.Event()))
    await asyncio.sleep(0.3)
    assert not running.done()

    with listening_socket(unix_endpoint(tmp_path / "xds.sock")):
        assert await asyncio.wait_for(running, 20) == 3


async def test_a_stop_before_the_start_is_a_stop(settings, script):
    stop = asyncio.Event()
    stop.set()

    assert await asyncio.wait_for(run(settings(script("exit 3")), CLOCK, stop), 5) == 0


async def test_a_socket_that_was_left_behind_is_no_hindrance(settings, control_plane, tmp_path):
    listening_socket(unix_endpoint(tmp_path / "envoy.sock")).close()
    chosen, stop = settings(envoy_binary()), asyncio.Event()
    running = asyncio.create_task(run(chosen, CLOCK, stop))

    await eventually(lambda: accepts(chosen.admin))

    stop.set()
    await asyncio.wait_for(running, 20)


async def test_a_control_plane_across_hosts_needs_mutual_tls(settings):
    chosen = settings(envoy_binary())
    elsewhere = Settings(**{**vars(chosen), "control_plane": TcpEndpoint("control-plane", 18000)})

    with pytest.raises(BootstrapError, match="mutual TLS"):
        await run(elsewhere, CLOCK, asyncio.Event())


async def test_what_envoy_asks_outlasts_it(tmp_path):
    address = unix_endpoint(tmp_path / "envoy.sock")
    with listening_socket(address):
        waiting = asyncio.create_task(outlast(address, patience=10, clock=CLOCK))
        await asyncio.sleep(0.3)
        assert not waiting.done()

    await asyncio.wait_for(waiting, 5)


async def test_patience_with_an_envoy_that_stays_ends(tmp_path):
    address = unix_endpoint(tmp_path / "envoy.sock")

    with listening_socket(address):
        await asyncio.wait_for(outlast(address, patience=0.2, clock=CLOCK), 5)


@pytest.mark.parametrize(
    ("code", "expected"),
    [pytest.param(0, 0, id="done"), pytest.param(1, 1, id="failed"), pytest.param(-9, 137, id="kill")],
)
def test_exit_codes(code, expected):
    assert exit_code(code) == expected
