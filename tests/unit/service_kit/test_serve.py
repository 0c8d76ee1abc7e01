"""A service as a process: healthy once it has its policies, gone with a reason when a part of it dies."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2 as health_pb
from grpc_health.v1 import health_pb2_grpc

from control_plane.server.types import SERVICES
from control_plane.snapshot import Snapshot, resource, snapshot
from service_kit.contract import AUTHZ_POLICY_TYPE
from service_kit.endpoint import EndpointError, UnixEndpoint
from service_kit.serve import ProcessFailed, node_id, until_stopped
from tests.support.eventually import eventually
from tests.support.plain_service import DEADLY
from tests.support.xds import control_plane, refuses

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Shorter than tmp_path: a socket path is 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="serve") as name:
        yield Path(name)


@asynccontextmanager
async def plain_service(folder: Path, *options: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.plain_service",
        "--listen", f"unix:{folder}/service.sock",
        "--control-plane", f"unix:{folder}/xds.sock",
        "--state-dir", str(folder / "state"),
        *options,
        cwd=ROOT, stderr=PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def health(target: str) -> str:
    """What the service says of itself, or that it does not answer."""
    async with grpc.aio.insecure_channel(target) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb.HealthCheckRequest(service="plain"))
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return health_pb.HealthCheckResponse.ServingStatus.Name(answer.status)


def policy(body: bytes) -> Snapshot:
    return snapshot([resource(AUTHZ_POLICY_TYPE, "default", body)])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def is_serving(target: str) -> bool:
    return await health(target) == "SERVING"


async def test_a_service_is_serving_once_it_has_its_policies_and_stops_when_asked(folder: Path) -> None:
    probe, metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    async with plain_service(folder, "--probe", probe, "--metrics", metrics) as process:

        async def answers() -> bool:
            return await health(probe) == "NOT_SERVING"

        await eventually(answers, within=20)
        async with control_plane(UnixEndpoint(folder / "xds.sock")) as xds:
            xds.ads.set_snapshot(SERVICES.cluster, policy(b"1"))
            await eventually(lambda: is_serving(probe), within=20)
            assert await is_serving(f"unix:{folder}/service.sock")
            async with httpx.AsyncClient(trust_env=False) as client:
                assert "tollgate_policy_connected 1.0" in (await client.get(f"http://{metrics}/metrics")).text
            assert xds.ads.statuses()[0].node.startswith("plain-")

            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_a_policy_that_breaks_its_reader_is_refused_and_the_process_goes_on(folder: Path) -> None:
    async with control_plane(UnixEndpoint(folder / "xds.sock")) as xds:
        xds.ads.set_snapshot(SERVICES.cluster, policy(DEADLY))
        async with plain_service(folder, "--log-level", "error"):
            await eventually(lambda: refuses(xds.ads, SERVICES.cluster), within=20)
            (verdict,) = xds.ads.verdicts(SERVICES.cluster)
            assert "RuntimeError('a fault in the program')" in verdict.refusals[-1].message

            xds.ads.set_snapshot(SERVICES.cluster, policy(b"1"))
            await eventually(lambda: is_serving(f"unix:{folder}/service.sock"), within=20)


async def test_a_fault_in_the_background_ends_the_process() -> None:
    async def broken() -> None:
        raise RuntimeError("a fault in the program")

    async def short() -> None:
        """Work that should have lasted."""

    with pytest.raises(ProcessFailed, match=r"background work failed: RuntimeError\('a fault in the program'\)"):
        await until_stopped(broken())
    with pytest.raises(ProcessFailed, match=r"background work ended unasked: .*short"):
        await until_stopped(short())


async def test_a_port_in_use_ends_the_process_with_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with plain_service(folder, "--probe", address, "--log-level", "error") as process:
            _, stderr = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 1
    assert stderr.decode().splitlines() == [
        f"error: cannot listen on {address}: Address already in use; choose another address"
    ]


async def test_a_file_in_place_of_the_socket_is_left_alone(folder: Path) -> None:
    (folder / "service.sock").write_text("precious")
    async with plain_service(folder, "--log-level", "error") as process:
        _, stderr = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 1
    assert b"cannot listen on unix:" in stderr
    assert (folder / "service.sock").read_text() == "precious"


async def fail(error: Exception) -> None:
    raise error


async def end() -> None:
    pass


async def test_failed_work_ends_the_process() -> None:
    with pytest.raises(ProcessFailed, match="boom"):
        await until_stopped(asyncio.Event().wait(), fail(ValueError("boom")))


async def test_work_that_ends_unasked_ends_the_process() -> None:
    with pytest.raises(ProcessFailed, match="end"):
        await until_stopped(end())


async def test_an_address_that_cannot_be_used_keeps_its_own_message() -> None:
    with pytest.raises(EndpointError, match="the cure"):
        await until_stopped(fail(EndpointError("the cure")))


async def test_a_signal_stops_the_work() -> None:
    stopped = asyncio.create_task(until_stopped(asyncio.Event().wait()))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)

    await asyncio.wait_for(stopped, 5)


def test_a_node_is_named_after_its_process() -> None:
    assert node_id("authz_service") == f"authz_service-{socket.gethostname()}-{os.getpid()}"
