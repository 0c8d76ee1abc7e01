import asyncio

import grpc
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service_kit.endpoint import TcpEndpoint, listening_socket, unix_endpoint
from service_kit.health import Health as ServiceHealth
from service_kit.http import HttpServer
from tests.support.processes import python_spec
from tollgate_cli.supervisor.health import healthy, url_of
from tollgate_cli.supervisor.processes import Health


@pytest.fixture
def spec(tmp_path):
    def of(health):
        return python_spec("any", "", address=unix_endpoint(tmp_path / "any.sock"), health=health)

    return of


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param(TcpEndpoint("0.0.0.0", 8800), "http://127.0.0.1:8800", id="every IPv4 address"),
        pytest.param(TcpEndpoint("::", 8800), "http://[::1]:8800", id="every IPv6 address"),
        pytest.param(TcpEndpoint("10.0.0.1", 8800), "http://10.0.0.1:8800", id="one address"),
    ],
)
def test_where_a_client_of_this_machine_reaches_a_listener(address, expected):
    assert url_of(address) == expected
    assert url_of(address, encrypted=True) == expected.replace("http:", "https:")


@pytest.mark.parametrize("health", Health, ids=lambda health: health.name)
async def test_a_process_that_is_not_there_is_not_well(spec, health):
    assert not await healthy(spec(health))


async def test_a_process_that_accepts_connections_is_well(spec):
    accepts = spec(Health.ACCEPTS)

    with listening_socket(accepts.address):
        assert await healthy(accepts)


async def test_a_service_is_well_when_it_serves(spec):
    service, server = ServiceHealth("authz"), grpc.aio.server()
    service.add_to(server)
    server.add_insecure_port(spec(Health.GRPC).address.grpc_target)
    await service.start()
    await server.start()
    before = await healthy(spec(Health.GRPC))

    await service.serving()

    assert (before, await healthy(spec(Health.GRPC))) == (False, True)
    await server.stop(None)


@pytest.mark.parametrize(("status", "well"), [(200, True), (503, False)])
async def test_envoy_is_well_when_its_admin_interface_says_so(spec, status, well):
    async def ready(request):
        return PlainTextResponse("", status_code=status)

    envoy = spec(Health.ENVOY)
    server = HttpServer(Starlette(routes=[Route("/ready", ready)]), envoy.address)
    task = asyncio.create_task(server.serve())

    assert await healthy(envoy) is well
    server.stop()
    await task
