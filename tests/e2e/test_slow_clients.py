"""Clients that do not send what they began. The compiled timeouts are shortened, so that the tests are short."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from control_plane.xds.packing import packed, seconds
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint
from tests.support.envoy import static_envoy
from tests.support.ports import free_port
from tests.support.upstream import Upstream

SHORT = 0.3
CONFIG = """
version: 1
listeners: {{public: {{address: "127.0.0.1:{port}"}}}}
upstreams: {{echo: {{url: "{upstream}"}}}}
routes:
  - {{name: public, match: {{path: /public}}, upstream: echo, auth: none}}
  - {{name: socket, match: {{path: /ws}}, upstream: echo, auth: none, websocket: true}}
"""


@pytest.fixture
def impatient(upstream: Upstream, tmp_path: Path) -> Iterator[int]:
    """The port of a listener that waits a third of a second where ours waits ten and sixty."""
    port = free_port()
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG.format(port=port, upstream=upstream.url))
    nobody = parse_endpoint(f"unix:{tmp_path}/nobody.sock")
    wiring = Wiring(authz=nobody, ratelimit=nobody, access_log=str(tmp_path / "access.log"))
    envoy, _ = snapshots(compile_file(file, {}).gateway, wiring)
    bootstrap = static_bootstrap(envoy)
    chain = bootstrap.static_resources.listeners[0].filter_chains[0].filters[0]
    manager = http_connection_manager_pb.HttpConnectionManager.FromString(chain.typed_config.value)
    assert (manager.request_headers_timeout.seconds, manager.request_timeout.seconds) == (10, 60)
    manager.request_headers_timeout.CopyFrom(seconds(SHORT))
    manager.request_timeout.CopyFrom(seconds(SHORT))
    chain.typed_config.CopyFrom(packed(manager))
    with static_envoy(bootstrap, tmp_path):
        yield port


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"GET /public HTTP/1.1\r\nhost: a\r\nx-slow: ", id="half a header"),
        pytest.param(b"POST /public HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345", id="half a body"),
    ],
)
def test_408_for_a_request_that_does_not_arrive(impatient: int, begun: bytes):
    answer = said_to(impatient, begun)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


def test_a_websocket_is_not_a_slow_request(impatient: int):
    """The upgrade ends the request: what the socket carries may take as long as it likes."""
    upgrade = (
        b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with connected(impatient) as connection:
        connection.sendall(upgrade)
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        time.sleep(3 * SHORT)
        connection.sendall(b"\x81\x82\x00\x00\x00\x00hi")  # a masked text frame
        echoed = connection.recv(4096)

    assert echoed == b"\x81\x08echo: hi"


def said_to(port: int, request: bytes) -> bytes:
    """All that comes back until the gateway closes."""
    with connected(port) as connection:
        connection.sendall(request)
        return connection.makefile("rb").read()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)
