"""Who asks, and from where, as the audit trail and the entries of keys say it."""

from typing import Any, Final
from urllib.parse import unquote

import grpc
from starlette.requests import Request

from service_kit.audit import By
from service_kit.endpoint import TcpEndpoint
from service_kit.peers import peer_of

# Whoever holds the admin token, where no certificate says who it is.
ADMIN: Final = "admin"
UNIX: Final = "unix:"


def by_context(context: grpc.aio.ServicerContext[Any, Any]) -> By:  # Any: messages of every call
    """The name in the caller's certificate; on the Unix socket there is none, nor an address."""
    peer, at = peer_of(context), context.peer()
    actor = next(iter(peer.names), ADMIN) if peer is not None else ADMIN
    return By(actor, "grpc unix" if at.startswith(UNIX) else f"grpc {unquote(at)}")


def by_request(request: Request) -> By:
    """Whoever holds the admin token, at the address that the connection came from."""
    at = request.client
    return By(ADMIN, "http" if at is None else f"http {TcpEndpoint(at.host, at.port)}")
