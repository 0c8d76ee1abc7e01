"""The xDS server on its address: a Unix socket, or TCP with mutual TLS."""

from collections.abc import Iterable

import grpc

from control_plane.server.ads import Ads
from service_kit.credentials import Certificates
from service_kit.endpoint import Endpoint, EndpointError, TcpEndpoint
from service_kit.health import Health
from service_kit.peers import Guarded, Role
from service_kit.serve import GRPC_OPTIONS, server_port

# Seconds that a stopping server gives the streams to take their last status.
STOP_GRACE = 1.0
# A client may ask for a sign of life this often; more is taken for an attack (gRPC closes the connection).
CLIENT_PING_MS = 5_000
SERVER_OPTIONS = (*GRPC_OPTIONS, ("grpc.http2.min_ping_interval_without_data_ms", CLIENT_PING_MS))
# Seconds after which a connection ends, give or take a tenth that gRPC draws: what connects again may find another
# replica, with its certificate of today. Nothing is balanced on a Unix socket.
CONNECTION_AGE = 1800.0
# Seconds that the streams of a connection of that age go on. They never end by themselves, so more would win nothing.
AGE_GRACE = 1.0
# Who may ask what operators ask, over mutual TLS; their token they need everywhere.
OPERATORS = (Role.ADMIN, Role.CONTROL_PLANE)


class XdsServer:
    """An ADS server that is bound to its address; `port` is the real one where the endpoint's was 0."""

    def __init__(self, ads: Ads, server: grpc.aio.Server, port: int) -> None:
        self.port = port
        self._ads = ads
        self._server = server

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        """Ends the streams with UNAVAILABLE, so that clients come back to whoever is there next."""
        self._ads.close_streams()
        await self._server.stop(STOP_GRACE)


def xds_server(
    ads: Ads,
    endpoint: Endpoint,
    tls: Certificates | None,
    health: Health | None = None,
    *,
    connection_age: float | None = None,
    services: Iterable[grpc.GenericRpcHandler] = (),
    feedback: grpc.GenericRpcHandler | None = None,
) -> XdsServer:
    """The ADS server on its address. Policies hold secrets: they leave by a Unix socket or by mutual TLS only.

    On the same address `services` answer operators, and `feedback` our own services. `connection_age` in seconds, 0 for
    connections that do not end; the default is that of the kind of address.
    """
    if isinstance(endpoint, TcpEndpoint) and tls is None:
        raise EndpointError(
            f"the xDS server on {endpoint} would send secrets in the clear: "
            "give --tls-certificate, --tls-private-key and --tls-authority, or listen on unix:/path/to.sock"
        )
    age = default_connection_age(endpoint) if connection_age is None else connection_age
    server = grpc.aio.server(options=(*SERVER_OPTIONS, *_age_options(age)))
    operated = (Guarded(service, *OPERATORS) for service in services)
    told = () if feedback is None else (Guarded(feedback, Role.SERVICE),)
    server.add_generic_rpc_handlers((*ads.rpcs(), *operated, *told))
    if health is not None:
        health.add_to(server)
    return XdsServer(ads, server, server_port(server, endpoint, tls))


def default_connection_age(endpoint: Endpoint) -> float:
    """Seconds; 0 where connections do not end."""
    return CONNECTION_AGE if isinstance(endpoint, TcpEndpoint) else 0.0


def _age_options(age: float) -> tuple[tuple[str, int], ...]:
    if not age:
        return ()
    return (
        ("grpc.max_connection_age_ms", round(age * 1000)),
        ("grpc.max_connection_age_grace_ms", round(AGE_GRACE * 1000)),
    )
