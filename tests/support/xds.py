"""An ADS server on a socket of the test, and Envoy resources in a line each."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.core.v3 import config_source_pb2 as config_source_pb
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_pb2 as route_pb
from envoy.extensions.filters.http.router.v3 import router_pb2 as router_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret_pb
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as tls_pb
from google.protobuf import any_pb2 as any_pb
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from control_plane.publication.outcome import Outcome
from control_plane.publication.publisher import Publisher
from control_plane.server.ads import Ads
from control_plane.server.transport import XdsServer, xds_server
from control_plane.snapshot import Resource, resource
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from service_kit.clock import SystemClock
from service_kit.credentials import certificates
from service_kit.endpoint import Endpoint, UnixEndpoint
from service_kit.settings import TlsFiles


@dataclass(frozen=True)
class ControlPlane:
    """What a test needs of a running ADS server."""

    ads: Ads
    server: XdsServer
    registry: CollectorRegistry
    endpoint: Endpoint


@asynccontextmanager
async def control_plane(
    endpoint: Endpoint | None = None, *, tls: TlsFiles | None = None, connection_age: float | None = None
) -> AsyncIterator[ControlPlane]:
    """A running ADS server, by default on a Unix socket of its own."""
    with tempfile.TemporaryDirectory(prefix="xds") as folder:  # tmp_path may be too long
        at = endpoint or UnixEndpoint(Path(folder) / "x.sock")
        registry = CollectorRegistry()
        ads = Ads(clock=SystemClock(), log=structlog.get_logger(), registry=registry)
        log = structlog.get_logger()
        source = None if tls is None else certificates(tls, log, registry)
        server = xds_server(ads, at, source, connection_age=connection_age)
        await server.start()
        try:
            yield ControlPlane(ads, server, registry, at)
        finally:
            await server.stop()


def refuses(ads: Ads, cluster: str) -> bool:
    """Whether a connected node of the cluster refuses something."""
    return any(verdict.refusals for verdict in ads.verdicts(cluster))


@asynccontextmanager
async def publisher(
    ads: Ads, *, linger: float = 0.0, start: float = 0.0, judged: Callable[[Outcome], None] = lambda _: None
) -> AsyncIterator[Publisher]:
    """A publisher at work; what leaves lingers for so many seconds, and services have so many to come at the start."""
    found = Publisher(ads, SystemClock(), structlog.get_logger(), linger=linger, start=start, judged=judged)
    task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def packed(type_url: str, name: str, message: Message) -> Resource:
    return resource(type_url, name, message.SerializeToString(deterministic=True))


def cluster(name: str, *, connect_ms: int = 1000, source: Message | None = None) -> Resource:
    """An EDS cluster, its endpoints from this source (ADS by default)."""
    message = cluster_pb.Cluster(name=name, type=cluster_pb.Cluster.EDS)
    message.connect_timeout.FromMilliseconds(connect_ms)
    message.eds_cluster_config.eds_config.CopyFrom(source or ads_source())
    return packed(CLUSTER_TYPE, name, message)


def endpoints(name: str, *ports: int) -> Resource:
    message = endpoint_pb.ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add()
    for port in ports:
        address = locality.lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = "127.0.0.1", port
    return packed(ENDPOINTS_TYPE, name, message)


def routes(name: str, **prefixes: str) -> Resource:
    """Routes from `/key` to the cluster of the value."""
    message = route_pb.RouteConfiguration(name=name)
    host = message.virtual_hosts.add(name="all", domains=["*"])
    for prefix, target in prefixes.items():
        route = host.routes.add()
        route.match.prefix = f"/{prefix}"
        route.route.cluster = target
    return packed(ROUTES_TYPE, name, message)


def secret(name: str, text: str = "a secret") -> Resource:
    message = secret_pb.Secret(name=name)
    message.generic_secret.secret.inline_string = text
    return packed(SECRET_TYPE, name, message)


def pair(name: str, certificate: str, key: str) -> Resource:
    """A certificate and its private key, as PEM."""
    message = secret_pb.Secret(name=name)
    message.tls_certificate.certificate_chain.inline_string = certificate
    message.tls_certificate.private_key.inline_string = key
    return packed(SECRET_TYPE, name, message)


def listener(
    name: str,
    route_name: str,
    *,
    port: int = 0,
    prefix: str = "test",
    certificate: str | None = None,
    source: Message | None = None,
) -> Resource:
    """A listener that asks for its routes, and for the secret with its certificate, from this source (ADS)."""
    source = source or ads_source()
    manager = hcm_pb.HttpConnectionManager(stat_prefix=prefix)
    manager.rds.route_config_name = route_name
    manager.rds.config_source.CopyFrom(source)
    manager.http_filters.add(name="router").typed_config.CopyFrom(any_of(router_pb.Router()))
    message = listener_pb.Listener(name=name)
    message.address.socket_address.address = "127.0.0.1"
    message.address.socket_address.port_value = port
    chain = message.filter_chains.add()
    chain.filters.add(name="http").typed_config.CopyFrom(any_of(manager))
    if certificate is not None:
        context = tls_pb.DownstreamTlsContext()
        context.common_tls_context.tls_certificate_sds_secret_configs.add(name=certificate, sds_config=source)
        chain.transport_socket.name = "tls"
        chain.transport_socket.typed_config.CopyFrom(any_of(context))
    return packed(LISTENER_TYPE, name, message)


def any_of(message: Message) -> any_pb.Any:
    wrapped = any_pb.Any()
    wrapped.Pack(message)
    return wrapped


def ads_source() -> Message:
    source = config_source_pb.ConfigSource(resource_api_version=config_source_pb.V3)
    source.ads.SetInParent()
    found: Message = source
    return found
