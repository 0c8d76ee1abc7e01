"""Runs a service: gRPC on its address, health for probes, metrics, the policy subscription, and a graceful stop."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import uvloop
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from service_kit.clock import SystemClock
from service_kit.credentials import Certificates, certificates, server_credentials
from service_kit.endpoint import Endpoint, EndpointError, UnixEndpoint, listening_socket, remove_stale_socket
from service_kit.feedback import Feedback
from service_kit.health import Health
from service_kit.http import HttpServer
from service_kit.log import Logger, configure_logs
from service_kit.metrics import metrics_app
from service_kit.peers import Guarded, Role
from service_kit.race import first_ended
from service_kit.settings import ServiceSettings
from service_kit.subscription import PolicyConsumer, PolicySubscription

# Seconds a stopping server gives calls in flight.
STOP_GRACE = 5.0
# Bytes.
LARGEST_MESSAGE = 64 << 20


def grpc_options(largest_message: int = LARGEST_MESSAGE) -> tuple[tuple[str, int], ...]:
    """Of a server that takes and sends messages of so many bytes."""
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", largest_message),
        ("grpc.max_send_message_length", largest_message),
    )


GRPC_OPTIONS = grpc_options()


class ProcessFailed(Exception):  # noqa: N818 - what happened, not a kind of error
    """Work that must last as long as the process has ended; the supervisor restarts a whole process."""


@dataclass(frozen=True)
class Service:
    """A service as `serve` runs it: its RPC, the policy types it needs, and who takes their changes."""

    name: str
    rpc: grpc.GenericRpcHandler
    types: tuple[str, ...]
    consumer: PolicyConsumer
    registry: CollectorRegistry
    close: Callable[[], Awaitable[None]] | None = None
    # What it does as long as it runs beside answering, and tells the control plane.
    background: Callable[[Feedback], Coroutine[Any, Any, None]] | None = None
    # What it answers over HTTP, and where.
    http: tuple[ASGIApp, Endpoint] | None = None
    # What it answers operators: over mutual TLS, the control plane and admins alone.
    admin: grpc.GenericRpcHandler | None = None


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a process's main coroutine; a bad address or dead background work is one line on stderr and exit code 1."""
    try:
        uvloop.run(main)
    except (EndpointError, ProcessFailed) as error:
        raise SystemExit(f"error: {error}") from error


async def serve(service: Service, settings: ServiceSettings) -> None:
    """Serves until SIGTERM or SIGINT; SERVING once its policies and what they need are there, from the wire or disk."""
    log = configure_logs(service.name, level=settings.log_level)
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    health = Health(service.name)
    await health.start()
    tls = None if settings.tls is None else certificates(settings.tls, log, service.registry)
    subscription = PolicySubscription(
        control_plane=settings.control_plane,
        tls=tls,
        node_id=node_id(service.name),
        types=service.types,
        consumer=service.consumer,
        cache=settings.state_dir / f"{service.name}.policies",
        log=log,
        clock=SystemClock(),
        registry=service.registry,
    )
    async with AsyncExitStack() as stack:
        if service.close is not None:
            stack.push_async_callback(service.close)
        await start_server(stack, settings.listen, tls, health, *guarded(service, over_tls=tls is not None))
        if settings.probe is not None:
            await start_server(stack, settings.probe, None, health)
        work = [_follow(subscription, health, log)]
        if service.background is not None:
            work.append(service.background(Feedback(settings.control_plane, tls)))
        if service.http is not None:
            work.append(HttpServer(*service.http).serve())
        if settings.metrics is not None:
            work.append(HttpServer(metrics_app(service.registry), settings.metrics).serve())
        log.info("started", listen=str(settings.listen))

        await until_stopped(*work)
        log.info("stopping")
        await health.stopping()


def guarded(service: Service, *, over_tls: bool) -> tuple[grpc.GenericRpcHandler, ...]:
    """What the service answers. Who may ask for decisions could try out credentials: over mutual TLS, Envoys alone."""
    if not over_tls:
        return (service.rpc, service.admin) if service.admin else (service.rpc,)
    decides = Guarded(service.rpc, Role.ENVOY)
    return (decides, Guarded(service.admin, Role.CONTROL_PLANE, Role.ADMIN)) if service.admin else (decides,)


def node_id(name: str) -> str:
    """The name under which this process shows in the control plane's status."""
    return f"{name}-{socket.gethostname()}-{os.getpid()}"


async def until_stopped(*work: Coroutine[Any, Any, None]) -> None:
    """Runs the work until the process is asked to stop; ProcessFailed where some of it ends before."""
    try:
        ended = await first_ended(stop_signal(), *work)
    except EndpointError:
        raise
    except Exception as error:
        raise ProcessFailed(f"background work failed: {error!r}") from error
    if ended > 0:
        name = getattr(work[ended - 1], "__qualname__", "unnamed")  # typing's Coroutine does not promise it
        raise ProcessFailed(f"background work ended unasked: {name}")


async def stop_signal() -> None:
    """Returns when the process is asked to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def server_port(server: grpc.aio.Server, endpoint: Endpoint, tls: Certificates | None) -> int:
    """Binds the server, with mutual TLS on TCP where files are given; EndpointError where it cannot."""
    listening_socket(endpoint).close()  # a trial: where this fails gRPC gives no reason, and writes past our logger
    try:
        if isinstance(endpoint, UnixEndpoint):
            return _unix_port(server, endpoint)
        if tls is None:
            return server.add_insecure_port(endpoint.grpc_target)
        return server.add_secure_port(endpoint.grpc_target, server_credentials(tls))
    except RuntimeError as error:
        raise EndpointError(f"cannot listen on {endpoint}: {error}") from error


def _unix_port(server: grpc.aio.Server, endpoint: UnixEndpoint) -> int:
    remove_stale_socket(endpoint.path)
    port = server.add_insecure_port(endpoint.grpc_target)
    endpoint.path.chmod(0o600)
    return port


async def start_server(
    stack: AsyncExitStack,
    endpoint: Endpoint,
    tls: Certificates | None,
    health: Health,
    *rpc: grpc.GenericRpcHandler,
    largest_message: int = LARGEST_MESSAGE,
) -> None:
    server = grpc.aio.server(options=grpc_options(largest_message))
    server.add_generic_rpc_handlers(rpc)
    health.add_to(server)
    server_port(server, endpoint, tls)
    await server.start()
    stack.push_async_callback(server.stop, STOP_GRACE)


async def _follow(subscription: PolicySubscription, health: Health, log: Logger) -> None:
    """Runs the subscription, and reports SERVING as soon as there is a policy to decide with."""
    await asyncio.gather(subscription.run(), _serving_when_ready(subscription, health, log))


async def _serving_when_ready(subscription: PolicySubscription, health: Health, log: Logger) -> None:
    await subscription.ready.wait()
    await health.serving()
    log.info("serving")
