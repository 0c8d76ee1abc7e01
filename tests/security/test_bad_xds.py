"""Whatever bytes reach the xDS port, who comes next is served at once, and nothing of it is left."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from control_plane.server import ads, bounds
from control_plane.server.types import ENVOYS
from control_plane.server.wire import LONGEST_REASON, MOST_FEATURES, MOST_NAMES
from control_plane.snapshot import snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE
from tests.support.eventually import eventually
from tests.support.fake_envoy import fake_envoy
from tests.support.xds import ControlPlane, cluster, control_plane

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
DELTA = f"{ADS}DeltaAggregatedResources"
SOTW = f"{ADS}StreamAggregatedResources"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
GOAWAY = b"\0\0\x08\7\0\0\0\0\0" + bytes(8)
PING = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)
RESET = b"\0\0\4\3\0\0\0\0\1\0\0\0\x08"
MIB = 1 << 20


@asynccontextmanager
async def besieged() -> AsyncIterator[ControlPlane]:
    """A server with one cluster, that serves it still at the end, and then has no more tasks, sessions and files."""
    async with control_plane() as found:
        found.ads.set_snapshot(ENVOYS.cluster, snapshot([cluster("backend")]))
        await _is_served(found)
        before = _held()
        yield found
        await _is_served_soon(found)
        await eventually(lambda: _held() <= before and not found.ads.statuses(), within=10)


def _held() -> int:
    gc.collect()
    return len(asyncio.all_tasks()) + len(list(Path("/proc/self/fd").iterdir()))


async def _is_served(found: ControlPlane) -> None:
    async with fake_envoy(found.endpoint, node="good") as envoy:
        await envoy.subscribe(CLUSTER_TYPE, "*")
        assert [item.name for item in (await envoy.take(within=20)).resources] == ["backend"]


async def _is_served_soon(found: ControlPlane) -> None:
    """At the third attempt at most: gRPC ends a connection on which many streams are reset, and its sharers retry."""
    for _ in range(2):
        with suppress(grpc.aio.AioRpcError):
            return await _is_served(found)
    return await _is_served(found)


@asynccontextmanager
async def _call(found: ControlPlane, method: str = DELTA) -> AsyncIterator[Any]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(found.endpoint.grpc_target, options) as channel:
        call: Any = channel.stream_stream(method)()
        try:
            yield call
        finally:
            call.cancel()


def delta(type_url: str = CLUSTER_TYPE, *names: str, node: dict[str, Any] | None = None, **fields: Any) -> bytes:
    stated = base_pb.Node(**{"id": "bad", "cluster": ENVOYS.cluster, **(node or {})})
    message = discovery_pb.DeltaDiscoveryRequest(
        node=stated, type_url=type_url, resource_names_subscribe=names, **fields
    )
    data: bytes = message.SerializeToString()
    return data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", id="http-1"),
        pytest.param(os.urandom(100_000), id="noise"),
        pytest.param(b"", id="nothing"),
        pytest.param(PREFACE + os.urandom(10_000), id="noise-after-the-preface"),
        pytest.param(PREFACE + SETTINGS + 20_000 * GOAWAY, id="goaways"),
        pytest.param(PREFACE + SETTINGS + 20_000 * PING, id="pings"),
        pytest.param(PREFACE + 20_000 * SETTINGS, id="settings"),
        pytest.param(PREFACE + SETTINGS + 1_000 * RESET, id="resets"),
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500), id="tls-in-the-clear"),
    ],
)
async def test_bytes_that_are_no_grpc(data: bytes) -> None:
    async with besieged() as found:
        for half_open in (True, False):
            with suppress(ConnectionError, TimeoutError):
                reader, writer = await asyncio.open_unix_connection(found.endpoint.grpc_target.removeprefix("unix:"))
                try:
                    writer.write(data)
                    async with asyncio.timeout(0.5):
                        await writer.drain()
                        if half_open:
                            writer.write_eof()
                        await reader.read()
                finally:
                    writer.close()


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (f"{ADS}FetchAggregatedResources", "UNIMPLEMENTED"),
        ("/a.Service/Method", "UNIMPLEMENTED"),
        (f"/{'x' * 9000}", ""),
    ],
)
async def test_methods_that_there_are_not(method: str, code: str) -> None:
    async with besieged() as found, _call(found, method) as call:
        assert (await call.code()).name == code or not code


STATED = "x" * (bounds.LONGEST_STATED + 1)


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        pytest.param([os.urandom(1000)], "INVALID_ARGUMENT", id="noise"),
        pytest.param([b"\x0a\xff\xff\xff\xff\x07"], "INVALID_ARGUMENT", id="truncated"),
        pytest.param([bytes(65 * MIB)], "RESOURCE_EXHAUSTED", id="more-than-64-MB"),
        pytest.param([delta(node={"id": 8 * MIB * "i"})], "INVALID_ARGUMENT", id="node-id-of-megabytes"),
        pytest.param([delta(node={"cluster": MIB * "c"})], "INVALID_ARGUMENT", id="cluster-of-a-megabyte"),
        pytest.param([delta(node={"user_agent_name": STATED})], "INVALID_ARGUMENT", id="user-agent"),
        pytest.param([delta(MIB * "t", "a")], "INVALID_ARGUMENT", id="type-of-a-megabyte"),
        pytest.param([delta(CLUSTER_TYPE, 8 * MIB * "n")], "INVALID_ARGUMENT", id="name-of-megabytes"),
        pytest.param([delta(initial_resource_versions={"a": MIB * "v"})], "INVALID_ARGUMENT", id="version"),
        pytest.param([delta(f"type/{n}", "a") for n in range(bounds.MOST_TYPES + 1)], "RESOURCE_EXHAUSTED", id="types"),
        pytest.param(
            [delta(ENDPOINTS_TYPE, *(f"{part}-{n}" for n in range(MOST_NAMES // 2))) for part in range(3)],
            "RESOURCE_EXHAUSTED",
            id="more-and-more-names",
        ),
        pytest.param([delta() + (MOST_NAMES + 1) * b"\x1a\0"], "INVALID_ARGUMENT", id="names-without-end"),
        pytest.param([delta() + (MOST_NAMES + 1) * b"\x22\0"], "INVALID_ARGUMENT", id="unsubscribed-without-end"),
        pytest.param([delta(node={"client_features": (MOST_FEATURES + 1) * ["f"]})], "INVALID_ARGUMENT", id="features"),
    ],
)
async def test_requests_that_no_client_makes_end_their_stream_alone(requests: list[bytes], code: str) -> None:
    async with besieged() as found, _call(found) as call:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for request in requests:
                await call.write(request)
            while await call.read() is not grpc.aio.EOF:
                pass
        assert (await call.code()).name == code
        assert len(await call.details()) < 500


async def test_a_hundred_thousand_names_are_answered() -> None:
    async with besieged() as found, _call(found) as call:
        await call.write(delta(CLUSTER_TYPE, "backend", *(f"name-{n}" for n in range(100_000))))
        response = discovery_pb.DeltaDiscoveryResponse.FromString(await call.read())

    assert (len(response.resources), len(response.removed_resources)) == (1, 100_000)


@pytest.mark.parametrize("name", ["\0", "\x1b[2J", "\n", "", "*\0", "\U0010ffff", "../../etc", "a" * 4096])
async def test_odd_names_are_answered_as_what_is_not_there(name: str) -> None:
    async with besieged() as found, _call(found) as call:
        await call.write(delta(ENDPOINTS_TYPE, name))
        response = discovery_pb.DeltaDiscoveryResponse.FromString(await call.read())

    assert list(response.removed_resources) == [name]


async def test_what_clients_make_up_is_no_label_and_no_line_of_the_log() -> None:
    odd = "\x1b[31m\nlevel=error"
    async with besieged() as found:
        before = len(generate_latest(found.registry).splitlines())
        for number in range(3):
            async with _call(found) as call:
                for index in range(50):
                    await call.write(delta(f"type/{number}-{index}", "a", node={"id": odd + str(number)}))
                    await call.read()
        after = generate_latest(found.registry).decode()

    assert 'type="other"' in after
    assert odd not in after
    assert len(after.splitlines()) < before + 40


async def test_a_reason_of_megabytes_is_cut() -> None:
    with capture_logs() as logs:
        async with besieged() as found, fake_envoy(found.endpoint, node="bad") as envoy:
            await envoy.subscribe(CLUSTER_TYPE, "*")
            await envoy.nack(await envoy.next(), 8 * MIB * "r")
            refusals: Any = await eventually(lambda: found.ads.verdicts(ENVOYS.cluster)[0].refusals)

    assert len(refusals[0].message) == LONGEST_REASON
    assert all(len(str(line)) < 2 * LONGEST_REASON for line in logs)


async def test_names_of_streams_that_ended_are_forgotten() -> None:
    async with besieged() as found:
        sizes = []
        for number in range(12):
            async with _call(found) as call:
                await call.write(delta(ENDPOINTS_TYPE, *(f"{number}-{n}" for n in range(20_000))))
                await call.read()
            await eventually(lambda: not found.ads.statuses())
            sizes.append(_named_strings())

    assert sizes[-1] <= sizes[2]


def _named_strings() -> int:
    gc.collect()
    return sum(len(item) for item in gc.get_objects() if isinstance(item, frozenset) and len(item) > 10_000)


async def test_thousands_of_streams_that_say_nothing_or_are_reset() -> None:
    async with besieged() as found, grpc.aio.insecure_channel(found.endpoint.grpc_target) as channel:
        calls: list[Any] = [channel.stream_stream(DELTA)() for _ in range(2_000)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await _is_served_soon(found)
        for call in calls:
            call.cancel()


async def test_a_client_that_never_reads_holds_up_nobody() -> None:
    """More is written to it than the connection holds."""
    async with besieged() as found, _call(found) as call:
        for index in range(20):
            await call.write(delta(f"type/{index}", *(f"{n}-{'n' * 1000}" for n in range(2_000))))
        await _is_served(found)
        found.ads.set_snapshot(ENVOYS.cluster, snapshot([cluster("backend", connect_ms=2)]))
        await _is_served(found)


@pytest.mark.parametrize(
    "answer", [lambda nonce: nonce + "x", lambda _: "", lambda nonce: nonce], ids=["foreign", "none", "twice"]
)
async def test_verdicts_on_what_was_never_sent_mean_nothing(answer: Callable[[str], str]) -> None:
    async with besieged() as found, _call(found, SOTW) as call:
        node = base_pb.Node(id="bad", cluster=ENVOYS.cluster)
        await call.write(discovery_pb.DiscoveryRequest(node=node, type_url=CLUSTER_TYPE).SerializeToString())
        nonce = discovery_pb.DiscoveryResponse.FromString(await call.read()).nonce
        for _ in range(2_000):
            await call.write(
                discovery_pb.DiscoveryRequest(type_url=CLUSTER_TYPE, response_nonce=answer(nonce)).SerializeToString()
            )
        await _is_served(found)


async def test_a_push_that_is_too_large_for_a_message_ends_the_stream_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ads, "LARGEST_MESSAGE", 1_000)
    async with besieged() as found, _call(found) as call:
        many = snapshot([cluster("backend"), *(cluster(f"c{number}") for number in range(100))])
        with capture_logs() as logs:
            found.ads.set_snapshot(ENVOYS.cluster, many)
            await call.write(delta(CLUSTER_TYPE, "*"))
            assert (await call.code()) is grpc.StatusCode.RESOURCE_EXHAUSTED
        found.ads.set_snapshot(ENVOYS.cluster, snapshot([cluster("backend")]))

    assert "bad" in [line["node"] for line in logs if line["event"] == "a push is too large to be sent"]
    assert "Cluster resources of" in await call.details()
