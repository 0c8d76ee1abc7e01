"""The ADS server over a real socket: streams, order, refusals, independence, and who is let in."""

from pathlib import Path

import grpc
import pytest

from control_plane.server.types import ENVOY_PUSH_ORDER, ENVOYS, SERVICES
from control_plane.snapshot import Resource, Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, ROUTES_TYPE
from service_kit.contract import AUTHZ_POLICY_TYPE
from service_kit.endpoint import EndpointError, TcpEndpoint
from tests.support.certificates import certificates, client_credentials
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy, names
from tests.support.xds import ControlPlane, cluster, control_plane, endpoints, listener, refuses, routes, secret

BOTH = pytest.mark.parametrize("delta", [True, False], ids=["delta", "state-of-the-world"])


def world(*, timeout: int = 1000, port: int = 80) -> Snapshot:
    return snapshot(
        [
            secret("s"),
            cluster("a", connect_ms=timeout),
            endpoints("a", port),
            listener("front", "r"),
            routes("r", a="a"),
        ]
    )


async def subscribe_to_all(envoy: FakeEnvoy) -> None:
    """Each type is asked for and taken in turn, as Envoy does at its start."""
    for type_url, asked in zip(ENVOY_PUSH_ORDER, (("s",), (), ("a",), (), ("r",)), strict=True):
        await envoy.subscribe(type_url, *asked)
        assert (await envoy.take()).type_url == type_url


def serve(xds: ControlPlane, *resources: Resource) -> None:
    xds.ads.set_snapshot(ENVOYS.cluster, snapshot(resources))


@BOTH
async def test_1_16_17_a_nack_keeps_last_good_and_is_shown(delta: bool) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta) as envoy:
        serve(xds, cluster("a"))
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.take()
        serve(xds, cluster("a", connect_ms=1))
        refused = await envoy.next()
        await envoy.nack(refused, "connect_timeout is too short")
        await eventually(lambda: refuses(xds.ads, ENVOYS.cluster))

        (status,) = xds.ads.statuses()
        shown = status.types[CLUSTER_TYPE]
        assert shown.refusal is not None
        assert (shown.refusal.message, shown.refusal.nonce) == ("connect_timeout is too short", refused.nonce)
        assert shown.sent != shown.acked
        assert (status.node, status.settled, status.converged) == ("fake", True, False)

        serve(xds, cluster("a", connect_ms=500))
        await envoy.take()
        await eventually(lambda: xds.ads.converged(ENVOYS.cluster))
        labels = {"type": "Cluster"}
        assert xds.registry.get_sample_value("tollgate_xds_nacks_total", labels) == 1
        assert xds.registry.get_sample_value("tollgate_xds_acks_total", labels) == 2
        assert xds.registry.get_sample_value("tollgate_xds_pushes_total", labels) == 3
        assert xds.registry.get_sample_value("tollgate_xds_push_to_ack_seconds_count", labels) == 3


@pytest.mark.parametrize(
    ("node", "cluster_name", "type_url", "code", "message"),
    [
        pytest.param("", ENVOYS.cluster, CLUSTER_TYPE, grpc.StatusCode.INVALID_ARGUMENT, "node.id", id="2-no-node"),
        pytest.param(
            "fake", "x", CLUSTER_TYPE, grpc.StatusCode.PERMISSION_DENIED, "tollgate-service", id="unknown-cluster"
        ),
        pytest.param("fake", ENVOYS.cluster, "", grpc.StatusCode.INVALID_ARGUMENT, "type_url", id="3-no-type"),
    ],
)
@BOTH
async def test_a_stream_that_says_too_little_is_refused(
    node: str, cluster_name: str, type_url: str, code: grpc.StatusCode, message: str, delta: bool
) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, node=node, cluster=cluster_name, delta=delta) as envoy:
        await envoy.subscribe(type_url)

        found, details = await envoy.status()
        assert found == code
        assert message in details
        assert xds.ads.statuses() == ()


@BOTH
async def test_an_envoy_that_outlived_the_control_plane_is_not_told_to_delete_what_it_runs(delta: bool) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta) as envoy:
        await envoy.subscribe(CLUSTER_TYPE, initial={"a": "of an earlier control plane"})
        await eventually(lambda: xds.ads.statuses() and xds.ads.statuses()[0].types)
        serve(xds, cluster("a"))

        assert len((await envoy.take()).resources) == 1, "the first answer is the real one"


@pytest.mark.parametrize("type_url", [CLUSTER_TYPE, ENDPOINTS_TYPE])
async def test_54_routes_wait_for_the_verdict_on_clusters_and_endpoints(type_url: str) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint) as envoy:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        await subscribe_to_all(envoy)
        changed = (cluster("a", connect_ms=5), endpoints("a", 81), routes("r", b="a"))
        serve(xds, secret("s"), *changed, listener("front", "r"))
        pushes = {found.type_url: found for found in (await envoy.next(), await envoy.next())}
        late = pushes.pop(type_url)
        for push in pushes.values():
            await envoy.ack(push)
        await envoy.quiet()

        await envoy.ack(late)
        assert (await envoy.take()).type_url == ROUTES_TYPE


async def test_69_a_large_snapshot_passes() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, cluster=SERVICES.cluster) as service:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([resource(AUTHZ_POLICY_TYPE, "default", bytes(8 << 20))]))
        await service.subscribe(AUTHZ_POLICY_TYPE, "*")

        assert len((await service.take()).resources[0].resource.value) == 8 << 20


async def test_envoys_see_no_policies_and_services_no_clusters() -> None:
    async with control_plane() as xds:
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([resource(AUTHZ_POLICY_TYPE, "default", b"secret")]))
        serve(xds, cluster("a"))
        async with fake_envoy(xds.endpoint) as envoy:
            await envoy.subscribe(AUTHZ_POLICY_TYPE, "*", "default")
            assert names(await envoy.take()) == ["-default"]
        async with fake_envoy(xds.endpoint, cluster=SERVICES.cluster) as service:
            await service.subscribe(CLUSTER_TYPE)
            assert names(await service.take()) == []


async def test_tcp_without_tls_is_refused_with_its_cure() -> None:
    with pytest.raises(EndpointError, match=r"--tls-certificate.*unix:"):
        async with control_plane(TcpEndpoint("127.0.0.1", 0)):
            pass


async def test_tcp_with_mutual_tls_lets_in_only_who_has_a_certificate(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    async with control_plane(TcpEndpoint("127.0.0.1", 0), tls=files) as xds:
        serve(xds, cluster("a"))
        at = TcpEndpoint("localhost", xds.server.port)
        async with fake_envoy(at, credentials=client_credentials(files)) as envoy:
            await envoy.subscribe(CLUSTER_TYPE)
            assert names(await envoy.take()) == ["a"]

        without = grpc.ssl_channel_credentials(files.authority.read_bytes())
        async with fake_envoy(at, credentials=without) as stranger:
            code, _ = await stranger.status()
            assert code == grpc.StatusCode.UNAVAILABLE
        assert len(xds.ads.statuses()) <= 1
