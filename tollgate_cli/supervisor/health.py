"""Asks processes how they are: over gRPC health, over Envoy's admin interface, or by connecting."""

import ssl

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from tollgate_cli.supervisor.asking import accepts
from tollgate_cli.supervisor.processes import Health, ProcessSpec

ASK_TIMEOUT = 1.0
# What OpenSSL calls the alert of RFC 8446, section 6.2.
CERTIFICATE_REQUIRED = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
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


async def answers_ready(listener: str) -> bool:
    """Whether the gateway says at the URL of a listener that it, and all it needs, is ready.

    Which certificate it shows is its clients' to judge. One that wants to see a certificate is up if it says so.
    """
    async with httpx.AsyncClient(timeout=ASK_TIMEOUT, trust_env=False, verify=False) as client:  # noqa: S501 - see above
        try:
            return (await client.get(f"{listener}/readyz")).status_code == httpx.codes.OK
        except ssl.SSLError as error:  # httpx has no word for an alert that comes after the handshake
            return error.reason == CERTIFICATE_REQUIRED
        except httpx.TransportError:
            return False


def url_of(listener: TcpEndpoint, *, encrypted: bool = False) -> str:
    """Where a client on this machine reaches a listener."""
    scheme = "https" if encrypted else "http"
    return f"{scheme}://{TcpEndpoint(WILDCARDS.get(listener.host, listener.host), listener.port)}"


async def _envoy_live(admin: UnixEndpoint) -> bool:
    async with admin_client(admin) as client:
        return await _is_200(client, "/ready")


def admin_client(admin: UnixEndpoint) -> httpx.AsyncClient:
    """A client of Envoy's admin interface."""
    transport = httpx.AsyncHTTPTransport(uds=str(admin.path), verify=False)  # no certificate is shown on a socket
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
