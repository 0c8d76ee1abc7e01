"""Addresses of processes: `unix:/path` on one host, `host:port` across hosts.

Errors: EndpointError
"""

import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# sockaddr_un.sun_path holds 108 bytes with its terminating NUL on Linux (man 7 unix).
SOCKET_PATH_LIMIT = 107
PORT_LIMIT = 65535


class EndpointError(ValueError):
    """An address that cannot be used; the message names the cure."""


@dataclass(frozen=True)
class UnixEndpoint:
    """A Unix socket. Its directory decides who may connect: the state directory is 0700."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"

    @property
    def grpc_target(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True)
class TcpEndpoint:
    """A host and a port; the host of a listener may be a wildcard address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def grpc_target(self) -> str:
        return str(self)


Endpoint = UnixEndpoint | TcpEndpoint


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint written as `unix:PATH`, `HOST:PORT` or `[IPV6]:PORT`; EndpointError names what is wrong."""
    if text == "unix:":
        raise EndpointError(f"{text!r} names no path: write unix:/path/to.sock")
    if text.startswith("unix:"):
        return unix_endpoint(Path(text.removeprefix("unix:")))
    host, separator, port = text.rpartition(":")
    if not separator or not host:
        raise EndpointError(f"{text!r} is no address: write HOST:PORT or unix:/path/to.sock")
    if not port.isascii() or not port.isdigit() or not 0 <= int(port) <= PORT_LIMIT:
        raise EndpointError(f"{text!r} has no valid port: {port!r} is not a number from 0 to {PORT_LIMIT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise EndpointError(f"{text!r}: brackets are for IPv6 addresses, such as [::1]:{port}")
    elif ":" in host:
        raise EndpointError(f"{text!r}: write an IPv6 address in brackets, [{host}]:{port}")
    return TcpEndpoint(host, int(port))


def unix_endpoint(path: Path) -> UnixEndpoint:
    """A Unix endpoint whose path the kernel can hold."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise EndpointError(
            f"socket path {path} has {length} bytes, {SOCKET_PATH_LIMIT} is the most: choose a shorter --state-dir"
        )
    return UnixEndpoint(path)


def listening_socket(endpoint: Endpoint) -> socket.socket:
    """A bound, listening socket; EndpointError where the address is taken or not ours."""
    if isinstance(endpoint, UnixEndpoint):
        return _unix_socket(endpoint.path)
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((endpoint.host, endpoint.port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise EndpointError(f"cannot listen on {endpoint}: {error.strerror}; choose another address") from error
    return sock


def udp_socket(endpoint: TcpEndpoint) -> socket.socket:
    """A socket bound to this host and port over UDP; EndpointError where they are taken or not ours."""
    sock = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((endpoint.host, endpoint.port))
    except OSError as error:
        sock.close()
        raise EndpointError(
            f"cannot listen on {endpoint} over UDP: {error.strerror}; choose another address"
        ) from error
    return sock


def remove_stale_socket(path: Path) -> None:
    """Removes the socket that a killed process left; a file that is no socket stays, and binding fails on it."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


def _unix_socket(path: Path) -> socket.socket:
    remove_stale_socket(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise EndpointError(f"cannot listen on unix:{path}: {error.strerror}") from error
    return sock
