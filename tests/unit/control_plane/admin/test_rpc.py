"""The operations over gRPC: who may ask, and what is answered. Every call is a real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from control_plane.admin.rpc import DEFAULT_LIMIT, admin_rpc
from control_plane.history.entries import CannotRollBack, NoSuchEntry
from control_plane.operations.described import hashing_key
from control_plane.operations.reports import SERVICE, HistoryEntry, RollbackResult
from service_kit.endpoint import unix_endpoint
from service_kit.serve import server_port
from tests.support.audit import audit_trail
from tests.support.operations import TOKEN, StandIn
from tollgate_pb.tollgate.admin.v1 import admin_pb2 as admin_pb

BEARER = (("authorization", f"Bearer {TOKEN}"),)
CALLS = {
    "GetStatus": (admin_pb.GetStatusRequest, admin_pb.StatusReport),
    "ListHistory": (admin_pb.ListHistoryRequest, admin_pb.HistoryReport),
    "Rollback": (admin_pb.RollbackRequest, admin_pb.RollbackResult),
    "GetRunning": (admin_pb.GetRunningRequest, admin_pb.Running),
}


class Caller:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def __call__(self, method: str, metadata: tuple[tuple[str, str], ...] = BEARER, **fields: Any) -> Any:
        request, response = CALLS[method]
        rpc = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return await rpc(request(**fields), metadata=metadata, timeout=10)

    async def noise(self, method: str, metadata: tuple[tuple[str, str], ...]) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self._channel.unary_unary(f"/{SERVICE}/{method}")(b"\xff\xff", metadata=metadata, timeout=10)
        return refused.value.code()


@asynccontextmanager
async def caller(operations: StandIn, folder: Path) -> AsyncIterator[Caller]:
    at = unix_endpoint(folder / "x.sock")
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((admin_rpc(operations, lambda: TOKEN, audit_trail()),))
    server_port(server, at, None)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(at.grpc_target) as channel:
            yield Caller(channel)
    finally:
        await server.stop(None)


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param((), id="none"),
        pytest.param((("authorization", "Bearer"),), id="scheme alone"),
        pytest.param((("authorization", "Bearer wrong"),), id="wrong token"),
        pytest.param((("authorization", f"Basic {TOKEN}"),), id="wrong scheme"),
        pytest.param((("authorization", f"Bearer {TOKEN[:-1]}"),), id="shorter"),
        pytest.param((*BEARER, ("authorization", "Bearer wrong")), id="two"),
    ],
)
async def test_every_call_wants_the_token(tmp_path: Path, method: str, metadata: Any) -> None:
    operations = StandIn()
    async with caller(operations, tmp_path) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(method, metadata)

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "admin token" in refused.value.details()
    assert operations.asked == []


async def test_status(tmp_path: Path) -> None:
    async with caller(StandIn(), tmp_path) as call:
        report = await call("GetStatus")

    assert (report.configuration.number, report.nodes[0].node, list(report.problems)) == (7, "e1", [])


@pytest.mark.parametrize(("asked", "limit"), [(5, 5), (0, DEFAULT_LIMIT)])
async def test_history(tmp_path: Path, asked: int, limit: int) -> None:
    operations = StandIn(entries=(HistoryEntry(2, 2.0, "bb", "c", "live"), HistoryEntry(1, 1.0, "aa", "c", "live")))
    async with caller(operations, tmp_path) as call:
        report = await call("ListHistory", limit=asked)

    assert ([entry.number for entry in report.entries], operations.asked) == ([2, 1], [limit])


@pytest.mark.parametrize(("fields", "asked"), [({"number": 3}, 3), ({}, None), ({"number": 0}, 0)])
async def test_rollback(tmp_path: Path, fields: dict[str, int], asked: int | None) -> None:
    operations = StandIn(result=RollbackResult(3, "77ab", held=True))
    async with caller(operations, tmp_path) as call:
        result = await call("Rollback", **fields)

    assert (result.number, result.digest, result.held, operations.asked) == (3, "77ab", True, [asked])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoSuchEntry("there is no number 9"), grpc.StatusCode.NOT_FOUND),
        (CannotRollBack("number 3 is not valid any more"), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_a_rollback_that_cannot_be(tmp_path: Path, error: CannotRollBack, code: grpc.StatusCode) -> None:
    async with caller(StandIn(result=error), tmp_path) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call("Rollback", number=9)

    assert (refused.value.code(), refused.value.details()) == (code, str(error))


async def test_what_runs_is_hashed_with_a_key_of_the_token(tmp_path: Path) -> None:
    operations = StandIn()
    async with caller(operations, tmp_path) as call:
        running = await call("GetRunning")

    assert running.wiring.access_log == "/dev/stdout"
    assert operations.asked == [hashing_key(TOKEN)]


@pytest.mark.parametrize("method", CALLS)
async def test_noise_is_no_request_and_who_has_no_token_does_not_hear_of_it(tmp_path: Path, method: str) -> None:
    operations = StandIn()
    async with caller(operations, tmp_path) as call:
        assert await call.noise(method, BEARER) is grpc.StatusCode.INVALID_ARGUMENT
        assert await call.noise(method, ()) is grpc.StatusCode.UNAUTHENTICATED

    assert operations.asked == []
