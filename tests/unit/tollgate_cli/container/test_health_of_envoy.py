"""Asked of a real Envoy: in the states in which it must not be killed, and in the one in which it is not there yet."""

import asyncio
import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.extensions.filters.http.router.v3 import router_pb2 as router_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2 as connections_pb
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2 as heap_pb

from service_kit.clock import SystemClock
from service_kit.endpoint import UnixEndpoint, listening_socket, unix_endpoint
from tests.support.envoy import envoy_binary, static_envoy
from tests.support.eventually import eventually, until
from tests.support.ports import free_port
from tollgate_cli.container.envoy import Settings, run
from tollgate_cli.container.health import main
from tollgate_cli.supervisor.asking import accepts, admin_answer

MONITORS = "envoy.resource_monitors"


def overloaded(port: int, admin: UnixEndpoint) -> bootstrap_pb.Bootstrap:
    """An Envoy whose heap is full by its own account, and that takes one connection."""
    manager = hcm_pb.HttpConnectionManager(stat_prefix="public", route_config={"name": "none"})
    manager.http_filters.add(name="router").typed_config.Pack(router_pb.Router())
    built = bootstrap_pb.Bootstrap(admin={"address": {"pipe": {"path": str(admin.path)}}})
    listener = built.static_resources.listeners.add(
        address={"socket_address": {"address": "127.0.0.1", "port_value": port}}
    )
    listener.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    monitors = built.overload_manager.resource_monitors
    one = connections_pb.DownstreamConnectionsConfig(max_active_downstream_connections=1)
    monitors.add(name=f"{MONITORS}.global_downstream_max_connections").typed_config.Pack(one)
    monitors.add(name=f"{MONITORS}.fixed_heap").typed_config.Pack(heap_pb.FixedHeapConfig(max_heap_size_bytes=1))
    built.overload_manager.actions.add(
        name="envoy.overload_actions.stop_accepting_requests",
        triggers=[{"name": f"{MONITORS}.fixed_heap", "threshold": {"value": 0.95}}],
    )
    return built


@pytest.fixture
def admin(tmp_path: Path) -> UnixEndpoint:
    return unix_endpoint(tmp_path / "envoy.sock")


@pytest.fixture
def port(admin: UnixEndpoint, tmp_path: Path) -> Iterator[int]:
    chosen = free_port()
    with static_envoy(overloaded(chosen, admin), tmp_path):
        yield chosen


def status(connection: http.client.HTTPConnection) -> int | None:
    """What Envoy answers; None where it hangs up instead."""
    try:
        connection.request("GET", "/health")
        with connection.getresponse() as answer:
            answer.read()
            return answer.status
    except ConnectionError:
        connection.close()
        return None


def test_an_envoy_that_refuses_requests_and_connections_is_well(admin, port):
    held, second = (http.client.HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(2))
    with closing(held), closing(second):
        until(lambda: status(held) == 503)
        assert status(second) is None

        assert main(["envoy", str(admin)], {}) == 0


def test_an_envoy_that_drains_is_well(admin, port):
    admin_answer(admin, "POST", "/healthcheck/fail")
    admin_answer(admin, "POST", "/drain_listeners")

    assert main(["envoy", str(admin)], {}) == 0


async def test_an_envoy_that_waits_for_its_listeners_is_not(admin, tmp_path, capsys):
    control_plane = unix_endpoint(tmp_path / "xds.sock")
    chosen, stop = Settings(envoy_binary(), control_plane, admin, None, 256 << 20, "error", 0, 1), asyncio.Event()
    with listening_socket(control_plane):
        running = asyncio.create_task(run(chosen, SystemClock(), stop))
        await eventually(lambda: accepts(admin))

        assert await asyncio.to_thread(main, ["envoy", str(admin)], {}) == 1
        assert capsys.readouterr().err.endswith("Envoy has no listeners yet: it waits for the control plane\n")

        stop.set()
        await asyncio.wait_for(running, 20)


@pytest.mark.parametrize("address", ["127.0.0.1:9901", "envoy.sock"])
def test_its_admin_interface_is_a_socket(address, capsys):
    assert main(["envoy", address], {}) == 1
    assert "write " in capsys.readouterr().err
