import asyncio
import io
import signal
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from service_kit.clock import SystemClock
from service_kit.endpoint import TcpEndpoint, unix_endpoint
from tests.support.envoy_admin import envoy_admin
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.processes import python_process, python_spec, runs
from tollgate_cli.supervisor import supervisor
from tollgate_cli.supervisor.layout import create, layout
from tollgate_cli.supervisor.output import Terminal
from tollgate_cli.supervisor.rotation import Rotation
from tollgate_cli.supervisor.supervisor import Plan, StopRequests, supervise

# A stand-in for Envoy: answers every path of a port with 200.
GATEWAY = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""
# A stand-in for a service: writes down when it ends.
SERVICE = """
import signal, sys, time
def end(*_):
    print(sys.argv[1], file=open(sys.argv[2], 'a'), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print(file=open(sys.argv[2] + '.' + sys.argv[1], 'w'))
time.sleep(60)
"""
NAMES = ("authz", "ratelimit", "control_plane", "store")


@pytest.fixture
def place(tmp_path):
    place = layout(tmp_path)
    create(place)
    return place


@pytest.fixture
def plan(place, tmp_path):
    listener = TcpEndpoint("127.0.0.1", free_port())
    address = unix_endpoint(tmp_path / "nobody.sock")
    ends = tmp_path / "ends"
    services = tuple(python_spec(name, SERVICE, name, ends, address=address) for name in reversed(NAMES))
    gateway = python_spec("envoy", GATEWAY, listener.port, address=address)
    return Plan((*services, gateway), place, {"public": listener}, TcpEndpoint("127.0.0.1", 8801))


@asynccontextmanager
async def supervised(plan):
    stream, stop = io.StringIO(), StopRequests()
    task = asyncio.create_task(supervise(plan, Terminal(stream, colour=False), SystemClock(), stop))
    yield stream, stop
    stop.ask()
    await task


def started(plan):
    ends = plan.layout.root / "ends"
    return all(ends.with_name(f"ends.{name}").exists() for name in NAMES)


async def test_ready_tells_addresses_logs_and_how_to_stop(plan):
    async with supervised(plan) as (stream, _stop):
        await eventually(lambda: "stop " in stream.getvalue())

    lines = stream.getvalue().splitlines()
    assert lines[:5] == [
        "ready",
        f"  public   http://{plan.listeners['public']}",
        "  admin    http://127.0.0.1:8801",
        f"  logs     {plan.layout.logs}",
        "  stop     Ctrl-C",
    ]


async def test_processes_stop_in_order(plan):
    async with supervised(plan):
        await eventually(lambda: started(plan))

    assert (plan.layout.root / "ends").read_text().split() == list(NAMES)


async def test_a_gateway_that_is_not_ready_names_the_process_and_its_log(plan, monkeypatch):
    monkeypatch.setattr(supervisor, "READY_PATIENCE", 0.2)
    silent = Plan(plan.specs[:1], plan.layout, {"public": TcpEndpoint("127.0.0.1", free_port())}, plan.admin)

    async with supervised(silent) as (stream, _stop):
        await eventually(lambda: "not ready" in stream.getvalue())

    assert f"store ({plan.layout.log('store')})" in stream.getvalue()


async def test_asking_a_second_time_does_not_wait_for_requests_in_progress(plan):
    gateway = plan.specs[-1]
    async with envoy_admin(gateway.address, active=1) as admin, supervised(plan) as (stream, stop):
        await eventually(lambda: "ready" in stream.getvalue() and started(plan))
        stop.ask()
        await eventually(lambda: admin.posts == ["/healthcheck/fail", "/drain_listeners"])
        assert not (plan.layout.root / "ends").exists()

    assert (plan.layout.root / "ends").read_text().split() == list(NAMES)


async def test_the_logs_are_their_owners_alone(plan):
    async with supervised(plan):
        await eventually(lambda: started(plan))

    assert {path.stat().st_mode & 0o777 for path in plan.layout.logs.iterdir()} == {0o600}


# A stand-in that fills its pipe many times over before it says that it is done.
TALKER = """
import sys, time
for _ in range(100):
    print('x' * 10_000)
print('error: done', flush=True)
time.sleep(60)
"""


async def test_a_full_disk_stops_nobody(plan):
    plan.layout.log("authz").symlink_to("/dev/full")
    talker = python_spec("authz", TALKER, address=plan.specs[0].address)

    async with supervised(replace(plan, specs=(talker,))) as (stream, _stop):
        await eventually(lambda: "error: done" in stream.getvalue())

    assert stream.getvalue().count("cannot write its log: No space left on device") == 1
    assert stream.getvalue().endswith("stopped\n")


async def test_logs_that_have_grown_are_renamed(plan):
    talker = python_spec("authz", TALKER, address=plan.specs[0].address)
    tiny = replace(plan, specs=(talker,), rotation=Rotation(size=100_000, every=0.01))

    async with supervised(tiny):
        await eventually(plan.layout.log("authz").with_name("authz.log.1").exists)
        await eventually(lambda: plan.layout.log("authz").stat().st_size < 100_000)


SUPERVISOR = """
import asyncio, signal, sys
from pathlib import Path
from service_kit.clock import SystemClock
from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from tollgate_cli.supervisor.layout import create, layout
from tollgate_cli.supervisor.output import Terminal
from tollgate_cli.supervisor.processes import Health, ProcessSpec
from tollgate_cli.supervisor.rotation import Rotation
from tollgate_cli.supervisor.supervisor import Plan, StopRequests, supervise

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever runs the tests may ignore it
place = layout(Path(sys.argv[1]))
create(place)
code = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'a'), flush=True); time.sleep(60)"
specs = tuple(
    ProcessSpec(name, (sys.executable, "-c", code, sys.argv[2]), {}, place.sockets.store, Health.ACCEPTS)
    for name in ("store", "authz")
)

async def main():
    stop = StopRequests()
    stop.follow_signals()
    plan = Plan(specs, place, {"public": TcpEndpoint("127.0.0.1", 9)}, TcpEndpoint("127.0.0.1", 9))
    await supervise(plan, Terminal(None, colour=False), SystemClock(), stop)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 0, id="SIGTERM"),
        pytest.param(signal.SIGHUP, 0, id="the terminal is closed"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="SIGKILL"),
    ],
)
async def test_no_process_survives_its_supervisor(number, code, tmp_path):
    pids = tmp_path / "pids"
    with python_process("-c", SUPERVISOR, tmp_path, pids) as process:
        await eventually(lambda: pids.exists() and len(pids.read_text().splitlines()) == 2, within=10)
        process.send_signal(number)
        await eventually(lambda: process.poll() is not None, within=10)

    assert process.returncode == code
    await eventually(lambda: not any(runs(int(pid)) for pid in pids.read_text().split()))
