"""The client status discovery service on a real ADS server: what each consumer runs, and no secret of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2 as dump_pb
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret_pb
from envoy.service.status.v3 import csds_pb2 as csds_pb

from control_plane.admin.rpc import by_token_or_socket
from control_plane.render import REDACTED
from control_plane.server import csds
from control_plane.server.csds import SERVICE, csds_rpc
from control_plane.server.types import ENVOYS
from control_plane.snapshot import snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, SECRET_TYPE
from service_kit.endpoint import unix_endpoint
from service_kit.serve import server_port
from tests.support import xds
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy

TOKEN = "the-admin-token-of-a-test"
KEY = "-----BEGIN PRIVATE KEY-----\nnot-to-be-shown\n-----END PRIVATE KEY-----\n"


@dataclass(frozen=True)
class World:
    xds: xds.ControlPlane
    channel: grpc.aio.Channel

    async def fetch(self, request: Any = None, **call: Any) -> Any:
        rpc = self.channel.unary_unary(
            f"/{SERVICE}/FetchClientStatus",
            request_serializer=csds_pb.ClientStatusRequest.SerializeToString,
            response_deserializer=csds_pb.ClientStatusResponse.FromString,
        )
        return await rpc(request or csds_pb.ClientStatusRequest(), timeout=10, **call)

    async def states(self) -> dict[str, tuple[str, str]]:
        """The states of the only client's resources, by name."""
        (config,) = (await self.fetch()).config
        return {item.name: states(item) for item in config.generic_xds_configs}


def states(item: Any) -> tuple[str, str]:
    return csds_pb.ConfigStatus.Name(item.config_status), dump_pb.ClientResourceStatus.Name(item.client_status)


@asynccontextmanager
async def world(folder: Path, authorized: Any = lambda _context: True) -> AsyncIterator[World]:
    at = unix_endpoint(folder / "c.sock")
    async with xds.control_plane() as plane:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((csds_rpc(plane.ads, authorized),))
        server_port(server, at, None)
        await server.start()
        async with grpc.aio.insecure_channel(at.grpc_target) as channel:
            try:
                yield World(plane, channel)
            finally:
                await server.stop(None)


async def acked(found: World, envoy: FakeEnvoy, *types: str) -> None:
    for type_url in types:
        await envoy.subscribe(type_url, *(() if type_url in (CLUSTER_TYPE, LISTENER_TYPE) else ("a", "b")))
        await envoy.take()
    await eventually(lambda: found.xds.ads.converged(ENVOYS.cluster))


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_the_state_of_every_resource(tmp_path: Path, delta: bool) -> None:
    async with world(tmp_path) as found, fake_envoy(found.xds.endpoint, delta=delta) as envoy:
        found.xds.ads.set_snapshot(ENVOYS.cluster, snapshot([xds.cluster("a"), xds.cluster("b")]))
        await envoy.subscribe(CLUSTER_TYPE)
        push = await envoy.next()
        assert await found.states() == {"a": ("STALE", "UNKNOWN"), "b": ("STALE", "UNKNOWN")}

        await envoy.ack(push)
        await eventually(lambda: found.xds.ads.converged(ENVOYS.cluster))
        assert await found.states() == {"a": ("SYNCED", "ACKED"), "b": ("SYNCED", "ACKED")}

        changed = xds.cluster("b", connect_ms=9)
        found.xds.ads.set_snapshot(ENVOYS.cluster, snapshot([xds.cluster("a"), changed]))
        await envoy.nack(await envoy.next(), "I cannot")
        await eventually(lambda: xds.refuses(found.xds.ads, ENVOYS.cluster))
        (config,) = (await found.fetch()).config

    kept, refused = config.generic_xds_configs
    assert (states(kept), kept.HasField("error_state")) == (("SYNCED", "ACKED"), False)
    assert (states(refused), refused.version_info) == (("ERROR", "NACKED"), changed.version)
    assert refused.error_state.details == "I cannot"
    assert refused.error_state.last_update_attempt.seconds > 0
    assert (refused.type_url, refused.last_updated.seconds > 0) == (CLUSTER_TYPE, True)


async def test_what_was_not_sent_yet(tmp_path: Path) -> None:
    async with world(tmp_path) as found, fake_envoy(found.xds.endpoint) as envoy:
        found.xds.ads.set_snapshot(ENVOYS.cluster, snapshot([xds.cluster("a"), xds.listener("l", "r")]))
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.next()
        await envoy.subscribe(LISTENER_TYPE)  # waits for the verdict on the clusters
        await eventually(lambda: len(found.xds.ads.statuses()[0].types) == 2)

        assert (await found.states())["l"] == ("NOT_SENT", "REQUESTED")


async def test_only_what_a_node_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as found, fake_envoy(found.xds.endpoint) as envoy:
        resources = [xds.endpoints(name, 1) for name in ("a", "b", "c")]
        found.xds.ads.set_snapshot(ENVOYS.cluster, snapshot(resources))
        await acked(found, envoy, ENDPOINTS_TYPE)

        assert await found.states() == {"a": ("SYNCED", "ACKED"), "b": ("SYNCED", "ACKED")}


async def test_no_secret_is_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as found, fake_envoy(found.xds.endpoint) as envoy:
        secrets = [xds.secret("a", "not-to-be-shown"), xds.pair("b", "a certificate", KEY)]
        found.xds.ads.set_snapshot(ENVOYS.cluster, snapshot(secrets))
        await acked(found, envoy, SECRET_TYPE)
        response = await found.fetch()
        without = await found.fetch(csds_pb.ClientStatusRequest(exclude_resource_contents=True))

    generic, pair = (
        secret_pb.Secret.FromString(item.xds_config.value) for item in response.config[0].generic_xds_configs
    )
    assert b"not-to-be-shown" not in response.SerializeToString()
    assert generic.generic_secret.secret.inline_string == REDACTED
    assert pair.tls_certificate.private_key.inline_string == REDACTED
    assert pair.tls_certificate.certificate_chain.inline_string == "a certificate"
    assert not any(item.HasField("xds_config") for item in without.config[0].generic_xds_configs)


@pytest.mark.parametrize(
    ("matchers", "nodes"),
    [
        pytest.param([], ["e1", "e2", "x3"], id="all"),
        pytest.param([{"node_id": {"exact": "e1"}}], ["e1"], id="exact"),
        pytest.param([{"node_id": {"prefix": "E", "ignore_case": True}}], ["e1", "e2"], id="prefix in any case"),
        pytest.param([{"node_id": {"suffix": "3"}}, {"node_id": {"contains": "2"}}], ["e2", "x3"], id="either"),
        pytest.param([{"node_id": {"safe_regex": {"regex": "[ex][13]"}}}], ["e1", "x3"], id="regex, of the whole"),
        pytest.param([{"node_id": {"exact": "nobody"}}], [], id="nobody"),
        pytest.param(
            [{"node_metadatas": [{"path": [{"key": "tollgate_group"}], "value": {"present_match": False}}]}],
            ["e1", "e2", "x3"],
            id="without a group",
        ),
        pytest.param(
            [{"node_metadatas": [{"path": [{"key": "tollgate_group"}], "value": {"string_match": {"exact": "edge"}}}]}],
            [],
            id="of a group",
        ),
    ],
)
async def test_node_matchers(tmp_path: Path, matchers: list[Any], nodes: list[str]) -> None:
    async with (
        world(tmp_path) as found,
        fake_envoy(found.xds.endpoint, node="e1") as e1,
        fake_envoy(found.xds.endpoint, node="e2") as e2,
        fake_envoy(found.xds.endpoint, node="x3") as x3,
    ):
        for envoy in (e1, e2, x3):
            await envoy.subscribe(CLUSTER_TYPE)
        await eventually(lambda: len(found.xds.ads.statuses()) == 3)

        response = await found.fetch(csds_pb.ClientStatusRequest(node_matchers=matchers))

    assert [config.node.id for config in response.config] == nodes
    assert {config.node.cluster for config in response.config} <= {ENVOYS.cluster}


@pytest.mark.parametrize(
    "matcher",
    [
        pytest.param({"node_id": {"safe_regex": {"regex": "("}}}, id="bad regex"),
        pytest.param({"node_id": {}}, id="no pattern"),
        pytest.param(
            {"node_metadatas": [{"path": [{"key": "other"}], "value": {"present_match": True}}]}, id="unknown key"
        ),
        pytest.param(
            {"node_metadatas": [{"path": [{"key": "tollgate_group"}], "value": {"bool_match": True}}]}, id="kind"
        ),
    ],
)
async def test_a_matcher_that_cannot_be_asked(tmp_path: Path, matcher: Any) -> None:
    async with world(tmp_path) as found, fake_envoy(found.xds.endpoint) as envoy:
        await envoy.subscribe(CLUSTER_TYPE)
        await eventually(found.xds.ads.statuses)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await found.fetch(csds_pb.ClientStatusRequest(node_matchers=[matcher]))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_answers_every_request(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        rpc = found.channel.stream_stream(
            f"/{SERVICE}/StreamClientStatus",
            request_serializer=csds_pb.ClientStatusRequest.SerializeToString,
            response_deserializer=csds_pb.ClientStatusResponse.FromString,
        )
        call = rpc(timeout=10)
        counts = []
        for _ in range(2):
            await call.write(csds_pb.ClientStatusRequest())
            counts.append(len((await call.read()).config))
        await call.done_writing()

        assert (counts, await call.code()) == ([0, 0], grpc.StatusCode.OK)


async def test_who_may_not_ask(tmp_path: Path) -> None:
    async with world(tmp_path, lambda _context: False) as found:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await found.fetch()

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_unix_socket_is_leave_to_ask(tmp_path: Path) -> None:
    async with world(tmp_path, by_token_or_socket(lambda: TOKEN)) as found:
        assert len((await found.fetch()).config) == 0


@pytest.mark.parametrize(("presented", "code"), [(TOKEN, None), ("wrong", grpc.StatusCode.UNAUTHENTICATED)])
async def test_over_tcp_the_token_is_asked_for(tmp_path: Path, presented: str, code: grpc.StatusCode | None) -> None:
    async with xds.control_plane() as plane:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((csds_rpc(plane.ads, by_token_or_socket(lambda: TOKEN)),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            found = World(plane, channel)
            try:
                await found.fetch(metadata=(("authorization", f"Bearer {presented}"),))
                seen = None
            except grpc.aio.AioRpcError as error:
                seen = error.code()
        await server.stop(None)

    assert seen is code


async def test_an_answer_that_would_be_too_large_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as found, fake_envoy(found.xds.endpoint) as envoy:
        found.xds.ads.set_snapshot(ENVOYS.cluster, snapshot([xds.cluster(f"a{number}") for number in range(100)]))
        await acked(found, envoy, CLUSTER_TYPE)
        bare = csds_pb.ClientStatusRequest(exclude_resource_contents=True)
        monkeypatch.setattr(csds, "LARGEST_ANSWER", (await found.fetch(bare)).ByteSize())

        with pytest.raises(grpc.aio.AioRpcError, match="exclude_resource_contents") as refused:
            await found.fetch()
        assert len((await found.fetch(bare)).config[0].generic_xds_configs) == 100

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_noise_is_no_request(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await found.channel.unary_unary(f"/{SERVICE}/FetchClientStatus")(b"\xff\xff", timeout=10)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
