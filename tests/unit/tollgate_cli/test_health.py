import asyncio
import socket
import threading

import grpc
import pytest
from typer.testing import CliRunner

from service_kit.endpoint import TcpEndpoint, listening_socket, unix_endpoint
from service_kit.health import Health
from tests.support.plain_http import plain_http
from tests.support.ports import free_port
from tests.support.valkey import valkey_server
from tollgate_cli.main import app


def tollgate_health(*arguments: str):
    return CliRunner().invoke(app, ["health", *arguments])


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [pytest.param(200, 0, "", id="well"), pytest.param(503, 1, "answers 503", id="unwell")],
)
def test_http(status, code, said):
    with plain_http(status) as url:
        result = tollgate_health("http", url)

    assert result.exit_code == code
    assert said in result.output


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "unix:{folder}/any.sock"])
async def test_grpc(address, tmp_path):
    address = address.format(port=free_port(), folder=tmp_path)
    service, server = Health("authz_service"), grpc.aio.server()
    service.add_to(server)
    server.add_insecure_port(address)
    await service.start()
    await server.start()
    before = await asyncio.to_thread(tollgate_health, "grpc", address)

    await service.serving()
    after = await asyncio.to_thread(tollgate_health, "grpc", address)

    assert (before.exit_code, after.exit_code) == (1, 0)
    assert "NOT_SERVING" in before.output
    await server.stop(None)


def test_a_store_on_a_socket(tmp_path):
    with valkey_server(tmp_path) as store:
        assert tollgate_health("store", store.address).exit_code == 0


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(b"+PONG\r\n", 0, id="well"),
        pytest.param(b"-NOAUTH Authentication required.\r\n", 0, id="well, and wants a password"),
        pytest.param(b"-LOADING Valkey is loading the dataset in memory\r\n", 1, id="still loading"),
        pytest.param(b"", 1, id="hangs up"),
    ],
)
def test_a_store_by_its_answer(answer, code):
    address = TcpEndpoint("127.0.0.1", free_port())
    with listening_socket(address) as listening:
        answering = threading.Thread(target=_answer_once, args=(listening, answer))
        answering.start()
        result = tollgate_health("store", str(address))
        answering.join()

    assert result.exit_code == code


def _answer_once(listening: socket.socket, answer: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        assert connection.recv(64) == b"PING\r\n"
        connection.sendall(answer)


@pytest.mark.parametrize("kind", ["grpc", "store"])
def test_nobody_there_is_refused_in_one_line(kind, tmp_path):
    result = tollgate_health(kind, str(unix_endpoint(tmp_path / "none.sock")))

    assert result.exit_code == 1
    assert result.output.startswith("error: unix:")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(("http", "127.0.0.1:8801"), 1, "write http://HOST:PORT/PATH", id="no URL"),
        pytest.param(("grpc", "authz.sock"), 1, "write HOST:PORT or unix:", id="no address"),
        pytest.param(("tcp", "127.0.0.1:1"), 2, "tcp", id="no kind"),
    ],
)
def test_what_cannot_be_asked_names_the_cure(arguments, code, said):
    result = tollgate_health(*arguments)

    assert result.exit_code == code
    assert said in result.output
