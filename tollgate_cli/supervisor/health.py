"""Asks processes how they are: over gRPC health, over Envoy's admin interface, or by connecting."""

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from tollgate_cli.supervisor.child import accepts
from tollgate_cli.supervisor.processes import Health, ProcessSpec

ASK_TIMEOUT = 1.0
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def healthy(spec: ProcessSpec) -> bool:
    """Whether the process of this spec says that it is well."""
    match spec.health:
        case Health.ACCEPTS:
            return await accepts(spec.address)
        case Health.GRPC:
            return await _serving(spec.address)
        case Health.ENVOY:
            return await _envoy_live(spec.address)


async def answers_ready(listener: TcpEndpoint) -> bool:
    """Whether the gateway says at this listener that it, and all it needs, is ready."""
    url = f"{url_of(listener)}/readyz"
    async with httpx.AsyncClient(timeout=ASK_TIMEOUT, trust_env=False) as client:
        return await _is_200(client, url)


def url_of(listener: TcpEndpoint) -> str:
    """Where a client on this machine reaches a listener."""
    return f"http://{TcpEndpoint(WILDCARDS.get(listener.host, listener.host), listener.port)}"


async def _envoy_live(admin: UnixEndpoint) -> bool:
    async with admin_client(admin) as client:
        return await _is_200(client, "/ready")


def admin_client(admin: UnixEndpoint) -> httpx.AsyncClient:
    """A client of Envoy's admin interface."""
    transport = httpx.AsyncHTTPTransport(uds=str(admin.path))
    return httpx.AsyncClient(transport=transport, base_url="http://envoy", timeout=ASK_TIMEOUT, trust_env=False)


async def _is_200(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def _serving(address: UnixEndpoint) -> bool:
    async with grpc.aio.insecure_channel(address.grpc_target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=ASK_TIMEOUT)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
