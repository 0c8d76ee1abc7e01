"""The ADS server over a real socket: streams, order, refusals, independence, and who is let in."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret_pb

from control_plane.server.types import ENVOY_PUSH_ORDER, ENVOYS, SERVICES
from control_plane.snapshot import Resource, Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from service_kit.contract import AUTHZ_POLICY_TYPE
from service_kit.endpoint import EndpointError, TcpEndpoint
from tests.support.certificates import certificates, client_credentials
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy, names
from tests.support.xds import ControlPlane, cluster, control_plane, endpoints, listener, routes, secret

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
        await eventually(lambda: xds.ads.refused(ENVOYS.cluster))

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


async def test_5_unknown_types_do_not_disturb_the_stream() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint) as envoy:
        serve(xds, cluster("a"))
        await envoy.subscribe("type.googleapis.com/no.such.Type", "x")
        assert names(await envoy.take()) == ["-x"]
        await envoy.subscribe(CLUSTER_TYPE)
        assert names(await envoy.take()) == ["a"]


async def test_6_44_only_what_changed_is_pushed() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint) as envoy:
        serve(xds, cluster("a"), cluster("b"), listener("front", "r"))
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.take()
        await envoy.subscribe(LISTENER_TYPE)
        await envoy.take()

        serve(xds, cluster("a", connect_ms=2), cluster("b"), listener("front", "r"))
        response = await envoy.take()
        assert (response.type_url, names(response)) == (CLUSTER_TYPE, ["a"])
        await envoy.quiet()


@BOTH
async def test_7_two_streams_of_one_node_are_independent(delta: bool) -> None:
    async with (
        control_plane() as xds,
        fake_envoy(xds.endpoint, delta=delta) as one,
        fake_envoy(xds.endpoint, delta=delta) as other,
    ):
        serve(xds, cluster("a"))
        await one.subscribe(CLUSTER_TYPE)
        first = await one.take()
        await other.subscribe(CLUSTER_TYPE)
        second = await other.take()

        assert first.nonce != second.nonce
        assert len(xds.ads.statuses()) == 2


async def test_8_a_cancelled_stream_leaves_nothing() -> None:
    async with control_plane() as xds:
        async with fake_envoy(xds.endpoint) as envoy:
            serve(xds, cluster("a"))
            await envoy.subscribe(CLUSTER_TYPE)
            await envoy.next()
            assert len(xds.ads.statuses()) == 1

        await eventually(lambda: xds.ads.statuses() == ())
        await eventually(lambda: not [task for task in asyncio.all_tasks() if "Ads." in repr(task)])
        assert xds.registry.get_sample_value("tollgate_xds_streams", {"cluster": ENVOYS.cluster}) == 0


async def test_10_a_stopping_server_tells_its_clients_to_come_back() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint) as envoy:
        serve(xds, cluster("a"))
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.next()
        await xds.server.stop()

        code, _ = await envoy.status()
        assert code == grpc.StatusCode.UNAVAILABLE


async def test_46_a_reconnecting_envoy_is_not_sent_what_it_has() -> None:
    async with control_plane() as xds:
        serve(xds, cluster("a"), cluster("b"))
        async with fake_envoy(xds.endpoint) as envoy:
            await envoy.subscribe(CLUSTER_TYPE)
            held = {item.name: item.version for item in (await envoy.take()).resources}

        serve(xds, cluster("a"), cluster("c"))
        async with fake_envoy(xds.endpoint) as envoy:
            await envoy.subscribe(CLUSTER_TYPE, initial=held)
            assert names(await envoy.take()) == ["c", "-b"]
            await envoy.quiet()


@BOTH
async def test_54_a_change_of_everything_arrives_in_order(delta: bool) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta) as envoy:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        await subscribe_to_all(envoy)
        serve(
            xds, secret("s", "another"), cluster("a", connect_ms=5), endpoints("a", 81),
            listener("front", "r", prefix="x"), routes("r", b="a"),
        )  # fmt: skip

        assert [(await envoy.take()).type_url for _ in ENVOY_PUSH_ORDER] == list(ENVOY_PUSH_ORDER)
        await eventually(lambda: xds.ads.converged(ENVOYS.cluster))


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


def without(kept: Snapshot, name: str) -> list[Resource]:
    return [item for named in kept.resources.values() for item in named.values() if item.name != name]


def secrets_of(push: Any, *, delta: bool) -> list[str]:
    """The names of the secrets in a response."""
    return names(push) if delta else [secret_pb.Secret.FromString(item.value).name for item in push.resources]


@BOTH
async def test_65_a_rotated_secret_is_pushed_alone_by_name(delta: bool) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta) as envoy:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        await subscribe_to_all(envoy)
        rotated = [secret("s", "another"), secret("of-another")]
        serve(xds, *without(world(), "s"), *rotated)
        push = await envoy.take()
        serve(xds, *without(world(timeout=5), "s"), *rotated)

        assert (push.type_url, secrets_of(push, delta=delta)) == (SECRET_TYPE, ["s"])
        assert (await envoy.take()).type_url == CLUSTER_TYPE


@BOTH
async def test_51_the_absence_of_a_secret_deletes_nothing(delta: bool) -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=delta) as envoy:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        await subscribe_to_all(envoy)
        serve(xds, *without(world(), "s"))
        if delta:  # Envoy is told, and keeps it while something names it
            assert names(await envoy.take()) == ["-s"]
        serve(xds, *without(world(timeout=5), "s"))

        assert (await envoy.take()).type_url == CLUSTER_TYPE


async def test_58_a_secret_is_sent_again_to_who_asks_after_its_listener_was_pushed() -> None:
    """State of the world: Envoy asks with the names it used before, and would wait for what it does not get."""
    async with control_plane() as xds, fake_envoy(xds.endpoint, delta=False) as envoy:
        xds.ads.set_snapshot(ENVOYS.cluster, world())
        await subscribe_to_all(envoy)
        serve(xds, *without(world(), "front"), listener("front", "r", prefix="x"))
        assert (await envoy.take()).type_url == LISTENER_TYPE
        await envoy.ask_again(SECRET_TYPE)

        push = await envoy.take()
        assert (push.type_url, secrets_of(push, delta=False)) == (SECRET_TYPE, ["s"])


async def test_63_64_a_client_that_never_answers_blocks_nobody() -> None:
    async with control_plane() as xds, fake_envoy(xds.endpoint) as slow, fake_envoy(xds.endpoint) as envoy:
        serve(xds, cluster("a"))
        await slow.subscribe(CLUSTER_TYPE)
        await slow.next()
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.take()
        for number in range(10):
            serve(xds, cluster("a", connect_ms=2 + number))
            assert names(await envoy.take()) == ["a"]
        await slow.quiet()


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
