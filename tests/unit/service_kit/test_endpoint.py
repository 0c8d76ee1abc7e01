"""Addresses: what is one, how it is written, and what happens where one cannot be bound."""

import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.endpoint import (
    SOCKET_PATH_LIMIT,
    Endpoint,
    EndpointError,
    TcpEndpoint,
    UnixEndpoint,
    listening_socket,
    parse_endpoint,
    remove_stale_socket,
    unix_endpoint,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("unix:/run/x.sock", UnixEndpoint(Path("/run/x.sock")), id="socket"),
        pytest.param("unix:x.sock", UnixEndpoint(Path("x.sock")), id="relative-socket"),
        pytest.param("unix:/a:1", UnixEndpoint(Path("/a:1")), id="socket-with-a-colon"),
        pytest.param("127.0.0.1:80", TcpEndpoint("127.0.0.1", 80), id="ipv4"),
        pytest.param("[::1]:80", TcpEndpoint("::1", 80), id="ipv6"),
        pytest.param("authz.svc:9000", TcpEndpoint("authz.svc", 9000), id="name"),
        pytest.param("h:0", TcpEndpoint("h", 0), id="any-port"),
        pytest.param("h:65535", TcpEndpoint("h", 65535), id="last-port"),
    ],
)
def test_an_address_is_read_and_written_back(text: str, expected: Endpoint) -> None:
    assert parse_endpoint(text) == expected
    assert str(expected) == expected.grpc_target == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is no address", id="nothing"),
        pytest.param("localhost", "is no address", id="no-port"),
        pytest.param(":80", "is no address", id="no-host"),
        pytest.param("unix:", "names no path", id="no-path"),
        pytest.param("[]:80", "brackets are for IPv6", id="no-host-in-brackets"),
        pytest.param("[localhost]:80", "brackets are for IPv6", id="name-in-brackets"),
        pytest.param("h:", "no valid port", id="empty-port"),
        pytest.param("h:http", "no valid port", id="word"),
        pytest.param("h:65536", "no valid port", id="too-large"),
        pytest.param("h:-1", "no valid port", id="negative"),
        pytest.param("h:\u0661", "no valid port", id="arabic-digit"),
        pytest.param("h: 1", "no valid port", id="space"),
        pytest.param("::1:80", r"in brackets, \[::1\]:80", id="ipv6-without-brackets"),
    ],
)
def test_what_is_no_address(text: str, message: str) -> None:
    with pytest.raises(EndpointError, match=message):
        parse_endpoint(text)


@given(text=st.text(max_size=20))
def test_any_text_is_an_address_or_a_named_error(text: str) -> None:
    try:
        parsed = parse_endpoint(text)
    except EndpointError:
        return
    assert parse_endpoint(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("length", "fits"), [(SOCKET_PATH_LIMIT, True), (SOCKET_PATH_LIMIT + 1, False)], ids=["longest", "too-long"]
)
def test_a_path_that_the_kernel_cannot_hold_names_the_cure(length: int, fits: bool) -> None:
    path = Path("/" + "x" * (length - 1))

    if fits:
        assert unix_endpoint(path) == UnixEndpoint(path)
    else:
        with pytest.raises(EndpointError, match=r"108 bytes, 107 is the most: choose a shorter --state-dir"):
            unix_endpoint(path)


def test_the_limit_counts_bytes() -> None:
    with pytest.raises(EndpointError, match="bytes"):
        parse_endpoint("unix:/" + "ü" * 60)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Shorter than tmp_path: a socket path is 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="ep") as name:
        yield Path(name)


def test_a_socket_is_its_owners_alone(folder: Path) -> None:
    path = folder / "s.sock"
    with listening_socket(UnixEndpoint(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_the_socket_of_a_killed_process_is_replaced(folder: Path) -> None:
    path = folder / "s.sock"
    listening_socket(UnixEndpoint(path)).close()
    assert path.exists()

    with listening_socket(UnixEndpoint(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_file_that_is_no_socket_is_left_alone(folder: Path) -> None:
    path = folder / "precious"
    path.write_text("precious")

    with pytest.raises(EndpointError, match=f"cannot listen on unix:{path}"):
        listening_socket(UnixEndpoint(path))
    remove_stale_socket(path)

    assert path.read_text() == "precious"


def test_a_symbolic_link_to_a_file_is_left_alone(folder: Path) -> None:
    (folder / "precious").write_text("precious")
    (folder / "link").symlink_to(folder / "precious")

    remove_stale_socket(folder / "link")

    assert (folder / "link").read_text() == "precious"


def test_nothing_to_remove_is_no_error(folder: Path) -> None:
    remove_stale_socket(folder / "never")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use_names_itself(host: str) -> None:
    with listening_socket(TcpEndpoint(host, 0)) as taken:
        again = TcpEndpoint(host, taken.getsockname()[1])
        with pytest.raises(EndpointError) as refused:
            listening_socket(again)

    assert f"cannot listen on {again}: Address already in use" in str(refused.value)


def test_a_directory_that_is_not_there(folder: Path) -> None:
    with pytest.raises(EndpointError, match="No such file or directory"):
        listening_socket(UnixEndpoint(folder / "gone" / "s.sock"))
