"""The xDS server on its address: a Unix socket, or TCP with mutual TLS."""

import grpc

from control_plane.server.ads import Ads
from service_kit.endpoint import Endpoint, EndpointError, TcpEndpoint
from service_kit.health import Health
from service_kit.serve import GRPC_OPTIONS, server_port
from service_kit.settings import TlsFiles

# Seconds that a stopping server gives the streams to take their last status.
STOP_GRACE = 1.0
# A client may ask for a sign of life this often; more is taken for an attack (gRPC closes the connection).
CLIENT_PING_MS = 5_000
SERVER_OPTIONS = (*GRPC_OPTIONS, ("grpc.http2.min_ping_interval_without_data_ms", CLIENT_PING_MS))


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


def xds_server(ads: Ads, endpoint: Endpoint, tls: TlsFiles | None, health: Health | None = None) -> XdsServer:
    """The ADS server on its address. Policies hold secrets: they leave by a Unix socket or by mutual TLS only."""
    if isinstance(endpoint, TcpEndpoint) and tls is None:
        raise EndpointError(
            f"the xDS server on {endpoint} would send secrets in the clear: "
            "give --tls-certificate, --tls-private-key and --tls-authority, or listen on unix:/path/to.sock"
        )
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((ads.rpc(),))
    if health is not None:
        health.add_to(server)
    return XdsServer(ads, server, server_port(server, endpoint, tls))
