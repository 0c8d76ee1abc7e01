"""Who gets what over mutual TLS, and that what is secret shows nowhere."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2 as health_pb
from grpc_health.v1 import health_pb2_grpc
from prometheus_client import CollectorRegistry, generate_latest

from control_plane.server.types import ENVOYS, SERVICES
from control_plane.snapshot import Resource, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, SECRET_TYPE
from service_kit.clock import SystemClock
from service_kit.contract import AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE
from service_kit.credentials import Certificates, certificates, server_credentials
from service_kit.endpoint import Endpoint, TcpEndpoint
from service_kit.health import Health
from service_kit.peers import Guarded, Role
from service_kit.settings import TlsFiles
from service_kit.subscription import PolicySubscription
from tests.support.certificates import Authority, client_credentials
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy, names
from tests.support.fleet import Fleet, replica
from tests.support.xds import ControlPlane, cluster, secret

SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, Authority())


def serve(xds: ControlPlane, *more: Resource) -> None:
    """A secret for Envoys, and a policy with one for services."""
    xds.ads.set_snapshot(ENVOYS.cluster, snapshot((secret("key", SECRET), cluster("a"), *more)))
    policies = (resource(AUTHZ_POLICY_TYPE, "default", SECRET.encode()),)
    xds.ads.set_snapshot(SERVICES.cluster, snapshot(policies))


@asynccontextmanager
async def caller(
    fleet: Fleet, port: int, *alternative_names: str, cluster: str = ENVOYS.cluster, group: str = ""
) -> AsyncIterator[FakeEnvoy]:
    """A stream of who holds a certificate with these names, and says that it is of this cluster and group."""
    files = fleet.files(*alternative_names)
    at = TcpEndpoint("localhost", port)
    credentials = client_credentials(files)
    async with fake_envoy(at, cluster=cluster, group=group, credentials=credentials) as found:
        yield found


@pytest.mark.parametrize(
    ("alternative_name", "group"),
    [
        pytest.param("spiffe://test/tollgate/envoy", "", id="uri"),
        pytest.param("envoy.tollgate", "", id="dns"),
        pytest.param("envoy.tollgate", "edge", id="any-group"),
        pytest.param("spiffe://test/tollgate/envoy/edge", "edge", id="uri-of-its-group"),
        pytest.param("envoy.edge.tollgate", "edge", id="dns-of-its-group"),
    ],
)
async def test_71_an_envoy_that_is_who_it_says_is_served(fleet: Fleet, alternative_name: str, group: str) -> None:
    async with replica(fleet) as (xds, port), caller(fleet, port, alternative_name, group=group) as envoy:
        serve(xds)
        await envoy.subscribe(CLUSTER_TYPE)
        assert names(await envoy.take()) == ["a"]


@pytest.mark.parametrize(
    ("alternative_names", "cluster", "group"),
    [
        pytest.param(("spiffe://test/tollgate/envoy",), SERVICES.cluster, "", id="an-envoy-as-a-service"),
        pytest.param(("spiffe://test/tollgate/service",), ENVOYS.cluster, "", id="a-service-as-an-envoy"),
        pytest.param(("admin.tollgate",), ENVOYS.cluster, "", id="an-admin-as-an-envoy"),
        pytest.param(("control-plane.tollgate",), SERVICES.cluster, "", id="a-control-plane-as-a-service"),
        pytest.param(("spiffe://test/tollgate/envoy/edge",), ENVOYS.cluster, "inside", id="another-group"),
        pytest.param(("spiffe://test/tollgate/envoy/edge",), ENVOYS.cluster, "", id="no-group"),
        pytest.param(("envoy.edge.tollgate",), SERVICES.cluster, "edge", id="its-group-as-a-service"),
        pytest.param((), ENVOYS.cluster, "", id="hosts-only"),
        pytest.param(("envoy.tollgate\0.example.org",), ENVOYS.cluster, "", id="nul-in-a-name"),
    ],
)
async def test_71_a_peer_that_is_not_who_it_says_gets_no_secrets(
    fleet: Fleet, alternative_names: tuple[str, ...], cluster: str, group: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with replica(fleet) as (xds, port):
            serve(xds)
            async with caller(fleet, port, "impostor", *alternative_names, cluster=cluster, group=group) as impostor:
                await impostor.subscribe(CLUSTER_TYPE if cluster == ENVOYS.cluster else AUTHZ_POLICY_TYPE)
                code, details = await impostor.status()

            assert xds.ads.statuses() == ()
    assert [entry["reason"] for entry in logs if entry["event"] == "a peer is not let in"] == [details]
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert "impostor" in details
    assert "issue one with URI:spiffe://TRUST-DOMAIN/tollgate/" in details


async def test_71_a_later_request_cannot_say_otherwise(fleet: Fleet) -> None:
    """The node of a stream is that of its first request."""
    async with replica(fleet) as (xds, port):
        serve(xds)
        async with caller(fleet, port, "envoy.tollgate") as envoy:
            await envoy.subscribe(CLUSTER_TYPE)
            await envoy.take()
            envoy.claim(cluster=SERVICES.cluster)
            await envoy.subscribe(AUTHZ_POLICY_TYPE, "*", "default")
            assert names(await envoy.take()) == ["-default"]


async def test_a_new_authority_is_taken_up_by_a_server_that_runs(fleet: Fleet) -> None:
    async with replica(fleet) as (xds, port):
        serve(xds)
        renewed = fleet.of_another_authority()
        renewed.of("control-plane", process="control-plane")

        async with caller(renewed, port, "envoy.tollgate") as envoy:
            await envoy.subscribe(CLUSTER_TYPE)
            assert names(await envoy.take()) == ["a"]
        async with caller(fleet, port, "envoy.tollgate") as old:
            code, _ = await old.status()
            assert code == grpc.StatusCode.UNAVAILABLE
        assert xds.registry.get_sample_value("tollgate_tls_reloads_total", {"result": "taken"}) == 1


async def test_a_server_whose_files_are_broken_keeps_what_it_had(fleet: Fleet) -> None:
    async with replica(fleet) as (xds, port):
        serve(xds)
        (fleet.folder / "control-plane" / "tls.key").write_text("-----BEGIN")

        for _ in range(2):
            async with caller(fleet, port, "envoy.tollgate") as envoy:
                await envoy.subscribe(CLUSTER_TYPE)
                assert names(await envoy.take()) == ["a"]
        assert xds.registry.get_sample_value("tollgate_tls_reloads_total", {"result": "refused"}) == 1


class Policies:
    """A consumer that counts what it is given."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def apply(self, _type_url: str, changed: dict[str, bytes], _removed: object) -> None:
        self.taken.extend(changed.values())

    @property
    def awaits(self) -> tuple[str, ...]:
        return ()


async def test_a_service_connects_anew_with_new_certificates_and_loses_nothing(fleet: Fleet) -> None:
    registry, policies = CollectorRegistry(), Policies()
    source = certificates(fleet.of("service", process="service"), structlog.get_logger(), registry)
    async with replica(fleet) as (xds, port):
        serve(xds)
        async with subscribed(TcpEndpoint("localhost", port), source, policies, registry, fleet.folder):
            await eventually(lambda: policies.taken == [SECRET.encode()])
            first = xds.ads.statuses()[0].connected_at

            renewed = fleet.of_another_authority()
            renewed.of("control-plane", process="control-plane")
            renewed.of("service", process="service")

            await eventually(lambda: any(item.connected_at > first for item in xds.ads.statuses()), within=15)
            xds.ads.set_snapshot(SERVICES.cluster, snapshot([resource(AUTHZ_POLICY_TYPE, "default", b"newer")]))
            await eventually(lambda: policies.taken == [SECRET.encode(), b"newer"])


async def test_70_a_connection_that_ends_for_its_age_loses_no_state_of_a_service(fleet: Fleet) -> None:
    registry, policies = CollectorRegistry(), Policies()
    source = certificates(fleet.of("service"), structlog.get_logger(), registry)
    async with replica(fleet, age=1) as (xds, port):
        serve(xds)
        async with subscribed(TcpEndpoint("localhost", port), source, policies, registry, fleet.folder):
            await eventually(lambda: policies.taken)
            first = xds.ads.statuses()[0].connected_at
            await eventually(lambda: any(item.connected_at > first for item in xds.ads.statuses()), within=15)
            await eventually(lambda: registry.get_sample_value("tollgate_policy_connected") == 1)

            assert policies.taken == [SECRET.encode()]  # what it has is not sent again


@asynccontextmanager
async def subscribed(
    at: Endpoint, source: Certificates, consumer: Policies, registry: CollectorRegistry, folder: Path
) -> AsyncIterator[None]:
    subscription = PolicySubscription(
        control_plane=at, tls=source, node_id="service-under-test", types=(AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE),
        consumer=consumer, cache=folder / "policies", log=structlog.get_logger(), clock=SystemClock(),
        registry=registry,
    )  # fmt: skip
    task = asyncio.create_task(subscription.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("role", "code"),
    [
        pytest.param("envoy", grpc.StatusCode.OK, id="envoy"),
        pytest.param("envoy/edge", grpc.StatusCode.OK, id="envoy-of-a-group"),
        pytest.param("service", grpc.StatusCode.PERMISSION_DENIED, id="service"),
        pytest.param("admin", grpc.StatusCode.PERMISSION_DENIED, id="admin"),
    ],
)
async def test_only_envoys_ask_a_service_to_decide_and_everybody_asks_for_its_health(
    fleet: Fleet, role: str, code: grpc.StatusCode
) -> None:
    async with deciding(fleet.of("service")) as port:
        credentials = client_credentials(fleet.of(role))
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            assert await channel.unary_unary("/test.Decisions/Decide")(b"").code() == code
            follow: Any = channel.stream_stream("/test.Decisions/Follow")
            stream = follow(said(code))
            assert await asyncio.wait_for(ended(stream), 5) == code
            unknown = channel.unary_unary("/test.Decisions/Unknown")(b"")
            assert await unknown.code() == grpc.StatusCode.UNIMPLEMENTED
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb.HealthCheckRequest())
            assert health.status == health_pb.HealthCheckResponse.SERVING


async def said(code: grpc.StatusCode) -> AsyncIterator[bytes]:
    """One request, of who may make it; others are refused before, and what they wrote meanwhile would be an error."""
    if code is not grpc.StatusCode.OK:
        await asyncio.Event().wait()
    yield b""


async def ended(stream: Any) -> grpc.StatusCode:
    """How it ended, when all answers have been read."""
    try:
        async for _ in stream:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    code: grpc.StatusCode = await stream.code()
    return code


@asynccontextmanager
async def deciding(files: TlsFiles) -> AsyncIterator[int]:
    """A service that says yes to whoever may ask."""

    async def decide(_request: bytes, _context: object) -> bytes:
        return b"yes"

    async def follow(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield b"yes"

    methods = {
        "Decide": grpc.unary_unary_rpc_method_handler(decide),
        "Follow": grpc.stream_stream_rpc_method_handler(follow),
    }
    inner = grpc.method_handlers_generic_handler("test.Decisions", methods)
    health = Health("test")
    await health.serving()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Guarded(inner, Role.ENVOY),))
    health.add_to(server)
    source = certificates(files, structlog.get_logger(), CollectorRegistry())
    port = server.add_secure_port("localhost:0", server_credentials(source))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def test_secrets_in_flight_show_in_no_log_no_metric_and_no_error(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        async with replica(fleet) as (xds, port):
            serve(xds)
            told = [await taken_and_refused(fleet, port, role) for role in ("envoy", "service")]
            async with caller(fleet, port, "localhost") as stranger:
                await stranger.subscribe(SECRET_TYPE, "key")
                told.append(str(await stranger.status()))
            serve(xds, cluster("b"))
            metrics = generate_latest(xds.registry).decode()
            shown = [str(item.as_dict()) for item in xds.ads.statuses()] + [repr(vars(xds.ads))]

    key = (fleet.folder / "control-plane" / "tls.key").read_text().splitlines()[1]
    written = [str(line) for line in logs] + caplog.messages
    assert any("refused" in line for line in written)
    for text in (*written, *told, *shown, metrics):
        assert SECRET not in text
        assert key not in text
        assert "PRIVATE KEY" not in text


async def taken_and_refused(fleet: Fleet, port: int, role: str) -> str:
    """Takes what is secret for this role, refuses it, and breaks the protocol; how the server ended the stream."""
    group = ENVOYS if role == "envoy" else SERVICES
    wanted = (SECRET_TYPE, "key") if role == "envoy" else (AUTHZ_POLICY_TYPE, "*")
    async with caller(fleet, port, f"{role}.tollgate", cluster=group.cluster) as client:
        await client.subscribe(*wanted)
        response = await client.next()
        assert SECRET.encode() in response.SerializeToString()
        await client.nack(response, "it does not please")
        await client.subscribe("")
        return str(await client.status())
