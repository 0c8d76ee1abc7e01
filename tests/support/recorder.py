"""An upstream that keeps every request exactly as it came over the wire, also those that nobody asked for."""

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

LONGEST_LINE = 128 << 10


@dataclass(frozen=True)
class Recorded:
    """One request: its first line, its headers and its body, nothing folded or renamed."""

    line: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


class Recorder:
    """What has arrived, on which port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        # What every request gets, byte for byte.
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nrecorded"
        self.requests: list[Recorded] = []
        self.begun: list[bytes] = []

    def has_begun(self, marker: str) -> bool:
        """Whether a request with this in its first line has arrived, be it without its body's end."""
        return any(marker.encode() in line for line in self.begun)

    def of(self, marker: str, since: int = 0) -> list[Recorded]:
        """The requests that carry this marker anywhere, but for the first so many."""
        wanted = marker.encode()
        return [request for request in self.requests[since:] if wanted in repr(request).encode()]


@contextmanager
def running_recorder() -> Iterator[Recorder]:
    """Serves on a free port, in threads."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (request := _read(self.rfile, recorder.begun)) is not None:
                recorder.requests.append(request)
                self.wfile.write(recorder.answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        recorder = Recorder(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()


def _read(stream: BinaryIO, begun: list[bytes]) -> Recorded | None:
    try:
        line = stream.readline(LONGEST_LINE)
        if not line.strip():
            return None
        headers = tuple(_headers(stream))
        begun.append(line)
        return Recorded(line.rstrip(b"\r\n"), headers, _body(stream, headers))
    except OSError:  # the gateway broke the connection off
        return None


def _headers(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while (line := stream.readline(LONGEST_LINE)) not in (b"\r\n", b""):
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        yield name, value.strip()


def _body(stream: BinaryIO, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    found = {name.lower(): value for name, value in headers}
    if b"transfer-encoding" in found:
        return b"".join(_chunks(stream))
    return stream.read(int(found.get(b"content-length", b"0")))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while size := int(re.split(rb"[;\r]", stream.readline(LONGEST_LINE))[0] or b"0", 16):  # b"": it was broken off
        yield stream.read(size)
        stream.readline()
    while stream.readline(LONGEST_LINE) not in (b"\r\n", b""):
        pass
