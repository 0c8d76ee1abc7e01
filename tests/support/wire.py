"""HTTP as an attacker writes it: bytes on a socket, and HTTP/2 headers that no client library would send."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions

# Seconds; an answer of a gateway on this machine takes milliseconds.
SILENCE = 1.0


@dataclass(frozen=True)
class Answer:
    """A status (0: the connection was closed, or the stream reset, without one), headers and body."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


def http1(port: int, data: bytes) -> list[Answer]:
    """Every answer to these bytes, until the server closes or has nothing to say for a while."""
    with socket.create_connection(("127.0.0.1", port), SILENCE) as sock:
        with suppress(ConnectionResetError, BrokenPipeError):  # refused before all was read
            sock.sendall(data)
        return list(answers(b"".join(_received(sock))))


def request(target: str | bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """A request of one connection; `Host: gateway` unless a header says otherwise."""
    path = target if isinstance(target, bytes) else target.encode()
    host = () if any(header.lower().startswith(b"host:") for header in headers) else (b"Host: gateway",)
    lines = (b"%s %s HTTP/1.1" % (method, path), *host, *headers, b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answers(data: bytes) -> Iterator[Answer]:
    """The answers in a stream of bytes; interim ones (1xx) are passed over."""
    while data.startswith(b"HTTP/1.1 "):
        head, _, data = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = tuple((name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields))
        answer = Answer(int(line.split(" ")[1]), headers)
        if answer.status >= 200:
            size = int(answer.header("content-length") or len(data))
            body, data = data[:size], data[size:]
            yield Answer(answer.status, headers, body)


def _received(sock: socket.socket) -> Iterator[bytes]:
    try:
        while chunk := sock.recv(65536):
            yield chunk
    except (ConnectionResetError, TimeoutError):
        return


Fields = Sequence[tuple[str | bytes, str | bytes]]


def http2(port: int, fields: Fields, body: bytes = b"", trailers: Fields = ()) -> Answer:
    """The answer to one HTTP/2 request with exactly these fields."""
    config = h2.config.H2Configuration(
        client_side=True,
        header_encoding="utf-8",
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    connection.send_headers(1, list(fields), end_stream=not (body or trailers))
    if body:
        connection.send_data(1, body, end_stream=not trailers)
    if trailers:
        connection.send_headers(1, list(trailers), end_stream=True)
    with socket.create_connection(("127.0.0.1", port), SILENCE) as sock:
        sock.sendall(connection.data_to_send())
        return _http2_answer(sock, connection)


def _http2_answer(sock: socket.socket, connection: h2.connection.H2Connection) -> Answer:
    status, headers, body = 0, (), b""
    for chunk in _received(sock):
        try:
            events = connection.receive_data(chunk)
        except h2.exceptions.ProtocolError:
            break
        for event in events:
            if isinstance(event, h2.events.ResponseReceived):
                headers = tuple(event.headers)
                status = int(dict(headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                return Answer(status, headers, body)
        sock.sendall(connection.data_to_send())
    return Answer(status, headers, body)
