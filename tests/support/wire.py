"""HTTP as an attacker writes it: bytes on a socket, and HTTP/2 headers that no client library would send."""

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions

# Seconds; reached only where a gateway says nothing and does not hang up either, which is a finding.
SILENCE = 10.0


@dataclass(frozen=True)
class Answer:
    """A status (0: the connection was closed, or the stream reset, without one), headers and body."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


def answers_to(port: int, data: bytes, *, silence: float = SILENCE) -> list[Answer]:
    """Every answer to these bytes, until the server closes or says nothing for so many seconds."""
    with socket.create_connection(("127.0.0.1", port), silence) as sock:
        with suppress(ConnectionResetError, BrokenPipeError):  # refused before all was read
            sock.sendall(data)
        return list(answers(b"".join(_received(sock))))


def request(
    target: str | bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"", close: bool = True
) -> bytes:
    """A request, the last of its connection where it says so; `Host: gateway` unless a header says otherwise."""
    path = target if isinstance(target, bytes) else target.encode()
    host = () if any(header.lower().startswith(b"host:") for header in headers) else (b"Host: gateway",)
    end = (b"Connection: close",) if close else ()
    lines = (b"%s %s HTTP/1.1" % (method, path), *host, *headers, *end)
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


def requested(port: int, requests: Sequence[bytes]) -> int:
    """Sends one request after the other, on one connection while the server keeps it; how many were answered."""
    answered, stream = 0, None
    for data in requests:
        stream = stream or socket.create_connection(("127.0.0.1", port), SILENCE)
        stream.sendall(data)
        head = _one_answer(stream, without_body=data.startswith(b"HEAD"))
        answered += head != b""
        if head == b"" or b"connection: close" in head.lower():
            stream.close()
            stream = None
    if stream is not None:
        stream.close()
    return answered


def _one_answer(sock: socket.socket, *, without_body: bool) -> bytes:
    """The head of the next answer, b"" where the connection ends before it does."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := sock.recv(65536)):
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    size = 0 if found is None or without_body else int(found[1])
    while len(body) < size and (chunk := sock.recv(65536)):
        body += chunk
    return head
