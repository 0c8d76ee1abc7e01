"""Statements 69 to 71: size, age and pings of connections, and who may have what."""

import asyncio
from pathlib import Path

import grpc
import pytest
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb

from control_plane.server import transport
from control_plane.server.types import ENVOY_PUSH_ORDER, ENVOYS, SERVICES
from control_plane.snapshot import Resource, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, SECRET_TYPE
from service_kit.contract import AUTHZ_POLICY_TYPE
from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from tests.conformance.client import WITHIN, StreamEnded, connected
from tests.conformance.modes import Mode, in_every_mode, over_ads
from tests.conformance.pings import Pinging, pinging
from tests.conformance.server import Client, Server, running_server, start, world
from tests.support.certificates import Authority, client_credentials, issued
from tests.support.eventually import eventually
from tests.support.xds import cluster, endpoints, secret

GRPC_DEFAULT_LIMIT = 4 << 20
PING_INTERVAL = "grpc.http2.min_ping_interval_without_data_ms"
FASTER = 100  # times, than the pings of a real client
PINGS = 8
AGE = 0.3


@pytest.fixture(scope="module")
def large() -> Resource:
    """As many endpoints as make a message that gRPC's default would refuse."""
    found = endpoints("a", *range(1, 65_000), *range(1, 65_000), *range(1, 65_000), *range(1, 65_000))
    assert len(found.body) > GRPC_DEFAULT_LIMIT
    return found


@in_every_mode
async def test_69_large_snapshots_pass(server: Server, client: Client, large: Resource) -> None:
    server.serve(large)
    await client.ask(ENDPOINTS_TYPE, "a")

    assert len((await client.take()).bodies["a"] or b"") == len(large.body)


@in_every_mode
async def test_69_requests_for_many_names_pass(server: Server, client: Client) -> None:
    server.serve(endpoints("a", 1))
    names = [f"{number:0>100}" for number in range(GRPC_DEFAULT_LIMIT // 100)]
    await client.ask(ENDPOINTS_TYPE, "a", *names)

    assert "a" in (await client.take()).names


@over_ads
async def test_70_pings_of_a_client_are_welcome(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything a hundred times faster than in real life; the rate that is an attack there is one here."""
    monkeypatch.setattr(transport, "SERVER_OPTIONS", tuple(map(_faster, transport.SERVER_OPTIONS)))
    async with running_server() as server:
        server.serve(cluster("a"))
        allowed = transport.CLIENT_PING_MS / 1000 / FASTER
        assert isinstance(server.xds.endpoint, UnixEndpoint)
        async with pinging(server.xds.endpoint) as welcome:
            await _ping(welcome, mode, allowed * 1.5)
            await eventually(lambda: welcome.acked == PINGS)
            assert (welcome.refused, len(server.statuses("pinging"))) == (False, 1)
        async with pinging(server.xds.endpoint) as attack:
            await _ping(attack, mode, allowed / 20)
            await eventually(lambda: attack.refused)


def _faster(option: tuple[str, int]) -> tuple[str, int]:
    name, value = option
    return (name, value // FASTER) if name == PING_INTERVAL else option


async def _ping(client: Pinging, mode: Mode, pause: float) -> None:
    request = discovery_pb.DeltaDiscoveryRequest if mode.delta else discovery_pb.DiscoveryRequest
    method = "DeltaAggregatedResources" if mode.delta else "StreamAggregatedResources"
    node = base_pb.Node(id="pinging", cluster=ENVOYS.cluster)
    await client.open(
        f"/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}", request(node=node, type_url=CLUSTER_TYPE)
    )
    await eventually(lambda: client.responses)
    for _ in range(PINGS):
        await client.ping()
        await asyncio.sleep(pause)


@in_every_mode
async def test_70_a_connection_that_is_ended_for_its_age_loses_no_state(mode: Mode) -> None:
    async with running_server(connection_age=AGE) as server:
        server.serve(*world())
        async with server.client(mode) as client:
            await start(client)
            with pytest.raises(StreamEnded, match="connection age"):
                await client.next()
            assert (await client.ended())[0] == grpc.StatusCode.UNAVAILABLE, "it may try again"
            server.serve(*world(port=81))
            async with server.client(mode) as back:
                for type_url in ENVOY_PUSH_ORDER:
                    await back.resume(type_url, client)
                while (found := await back.take()).type_url != ENDPOINTS_TYPE:
                    assert not mode.delta, "it has all but the endpoints"
                assert found.bodies == {"a": endpoints("a", 81).body}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


ENVOY_NODE = (ENVOYS.cluster, "edge", SECRET_TYPE, "s")
SERVICE_NODE = (SERVICES.cluster, "", AUTHZ_POLICY_TYPE, "default")


@pytest.mark.parametrize(
    ("names", "node"),
    [
        pytest.param((), ENVOY_NODE, id="no-name-that-counts"),
        pytest.param(("spiffe://test/tollgate/service",), ENVOY_NODE, id="a-service-as-an-envoy"),
        pytest.param(("spiffe://test/tollgate/envoy/inner",), ENVOY_NODE, id="another-group"),
        pytest.param(("spiffe://test/tollgate/envoy",), SERVICE_NODE, id="an-envoy-as-a-service"),
    ],
)
@over_ads
async def test_71_a_peer_that_is_not_who_it_says_gets_no_secrets(
    mode: Mode, authority: Authority, tmp_path: Path, names: tuple[str, ...], node: tuple[str, str, str, str]
) -> None:
    stated, group, type_url, wanted = node
    async with running_server(endpoint=TcpEndpoint("127.0.0.1", 0), tls=_server_pair(authority, tmp_path)) as server:
        server.serve(secret("s"))
        server.xds.ads.set_snapshot(SERVICES.cluster, snapshot([resource(AUTHZ_POLICY_TYPE, "default", b"a hash")]))
        credentials = client_credentials(issued(authority, tmp_path / "client", *names))
        at = TcpEndpoint("localhost", server.xds.server.port)
        async with connected(at, mode, cluster=stated, group=group, credentials=credentials) as client:
            await client.ask(type_url, wanted)
            with pytest.raises(StreamEnded):
                await client.next()

            assert (await client.ended())[0] == grpc.StatusCode.PERMISSION_DENIED


@in_every_mode
async def test_71_a_peer_that_is_who_it_says_gets_them(mode: Mode, authority: Authority, tmp_path: Path) -> None:
    async with running_server(endpoint=TcpEndpoint("127.0.0.1", 0), tls=_server_pair(authority, tmp_path)) as server:
        server.serve(secret("s"))
        pair = issued(authority, tmp_path / "client", "spiffe://test/tollgate/envoy/edge")
        at = TcpEndpoint("localhost", server.xds.server.port)
        async with connected(at, mode, group="edge", credentials=client_credentials(pair)) as client:
            await client.ask(SECRET_TYPE, "s")
            assert (await client.take()).names == ["s"]


@over_ads
async def test_71_a_peer_of_another_authority_is_nobody(mode: Mode, authority: Authority, tmp_path: Path) -> None:
    async with running_server(endpoint=TcpEndpoint("127.0.0.1", 0), tls=_server_pair(authority, tmp_path)) as server:
        server.serve(secret("s"))
        stranger = issued(Authority(), tmp_path / "client", "spiffe://test/tollgate/envoy")
        credentials = grpc.ssl_channel_credentials(
            authority.pem.encode(), stranger.private_key.read_bytes(), stranger.certificate.read_bytes()
        )
        at = TcpEndpoint("localhost", server.xds.server.port)
        async with connected(at, mode, credentials=credentials) as client, asyncio.timeout(WITHIN):
            with pytest.raises(StreamEnded):
                await client.ask(SECRET_TYPE, "s")
            assert (await client.ended())[0] == grpc.StatusCode.UNAVAILABLE


def _server_pair(authority: Authority, folder: Path):
    return issued(authority, folder / "server", "spiffe://test/tollgate/control-plane")
