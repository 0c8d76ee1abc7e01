"""The translator over TCP: mutual TLS, for Envoys alone."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from llm_translator.main import NAME
from llm_translator.server import METHOD
from service_kit.peers import Role
from tests.support.certificates import Authority, client_credentials, issued
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.processes import python_process
from tests.support.translation import METADATA


@pytest.mark.parametrize(
    ("role", "code"),
    [
        pytest.param(Role.ENVOY, grpc.StatusCode.ABORTED, id="an Envoy, which said nothing"),
        pytest.param(Role.SERVICE, grpc.StatusCode.PERMISSION_DENIED, id="a service"),
        pytest.param(Role.ADMIN, grpc.StatusCode.PERMISSION_DENIED, id="an admin"),
    ],
)
async def test_only_an_envoy_may_ask_it(tmp_path, role, code):
    authority, port = Authority(), free_port()
    own = issued(authority, tmp_path / "own", "spiffe://test/tollgate/service")
    theirs = client_credentials(issued(authority, tmp_path / "theirs", f"spiffe://test/tollgate/{role}"))
    files = (
        "--tls-certificate", own.certificate, "--tls-private-key", own.private_key, "--tls-authority", own.authority,
    )  # fmt: skip
    with python_process("-m", NAME, "--listen", f"localhost:{port}", *files):
        async with grpc.aio.secure_channel(f"localhost:{port}", theirs) as channel:

            async def serves() -> bool:
                asked = health_pb2.HealthCheckRequest(service=NAME)
                try:
                    answer = await health_pb2_grpc.HealthStub(channel).Check(asked, wait_for_ready=True, timeout=20)
                except grpc.aio.AioRpcError:
                    return False
                return answer.status == health_pb2.HealthCheckResponse.SERVING

            await eventually(serves, within=20)
            stream = channel.stream_stream(METHOD)(metadata=METADATA)
            await stream.done_writing()

            assert await stream.code() is code
