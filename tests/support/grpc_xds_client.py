"""gRPC's own xDS client, in a process of its own: it reads its bootstrap once, and logs to its standard error.

Run as a program it does what the lines of its standard input say, and answers each with a line of JSON. The test holds
the other end, `GrpcClient`.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from envoy.service.status.v3 import csds_pb2
from grpc._cython import cygrpc

from control_plane.server.types import ENVOYS
from service_kit.endpoint import Endpoint

NAME = "app"
WHO = "test.Who"
# Shorter than the 15 seconds after which the client holds a resource for missing: who answers in time did not wait.
DEADLINE = 10.0


@dataclass(frozen=True)
class HeldResource:
    """A resource as the client's own status service shows it."""

    version: str
    status: str
    error: str


class GrpcClient:
    """The process; one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def answers(self, method: str = "A", *, calls: int = 12) -> list[str]:
        """What so many calls answer, one after the other: a backend's name, or the status of a call that failed."""
        found: list[str] = await self._ask("answers", method, calls)
        return found

    async def held(self) -> dict[tuple[str, str], HeldResource]:
        """What the client has, by type (the message's name) and name."""
        return {(kind, name): HeldResource(*rest) for kind, name, *rest in await self._ask("held")}

    async def _ask(self, *question: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def grpc_client(at: Endpoint) -> AsyncIterator[GrpcClient]:
    """A client whose control plane is at this address; it connects with its first call."""
    server = {
        "server_uri": at.grpc_target,
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    bootstrap = {"xds_servers": [server], "node": {"id": "grpc-client", "cluster": ENVOYS.cluster}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__,
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield GrpcClient(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def grpc_backend(name: str) -> AsyncIterator[int]:
    """A gRPC server whose every method answers its name; its port."""

    async def answer(_request: bytes, _context: object) -> bytes:
        return name.encode()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(WHO, dict.fromkeys("ABC", handler)),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def _answer(channel: grpc.Channel, method: str) -> str:
    try:
        answer: bytes = channel.unary_unary(f"/{WHO}/{method}")(b"", timeout=DEADLINE)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return answer.decode()


def _held() -> Iterator[tuple[str, str, str, str, str]]:
    for config in csds_pb2.ClientStatusResponse.FromString(cygrpc.dump_xds_configs()).config:
        for item in config.generic_xds_configs:
            status = item.DESCRIPTOR.fields_by_name["client_status"].enum_type.values_by_number[item.client_status]
            kind = item.type_url.rpartition(".")[2]
            yield kind, item.name, item.version_info, status.name, item.error_state.details


def _serve(channel: grpc.Channel) -> None:
    for line in sys.stdin:
        match json.loads(line):
            case ["answers", method, calls]:
                answer: object = [_answer(channel, method) for _ in range(calls)]
            case ["held"]:
                answer = list(_held())
            case other:
                raise ValueError(other)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with grpc.insecure_channel(f"xds:///{NAME}") as opened:
        _serve(opened)
