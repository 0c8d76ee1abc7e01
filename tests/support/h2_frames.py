"""HTTP/2 frame by frame (RFC 9113, 4.1), for connections that no library would make; and how a server takes them."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import hpack

from tests.support.wire import SILENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = 9
# Of a stream, or of frames that belong to the connection.
CONNECTION, FIRST, SECOND = 0, 1, 3


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    NONE = 0
    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4
    PADDED = 8


WHOLE = Flag.END_STREAM | Flag.END_HEADERS


def frame(kind: int, payload: bytes = b"", flags: Flag = Flag.NONE, stream: int = CONNECTION) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(path: str, *more: tuple[str, str], method: str = "GET") -> bytes:
    """A header block, encoded without memory: it means the same wherever it stands."""
    usual = ((":method", method), (":scheme", "http"), (":authority", "gateway"), (":path", path))
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in (*usual, *more))


def _text(value: str) -> bytes:
    data = value.encode("latin-1")
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    """RFC 7541, 5.1, with seven bits in the first byte."""
    if value < 127:
        return bytes([value])
    rest, data = value - 127, bytearray([127])
    while rest >= 128:
        data.append(rest % 128 + 128)
        rest //= 128
    return bytes([*data, rest])


@dataclass(frozen=True)
class Outcome:
    """The status of each stream that got one, the streams that were reset, and whether the connection ended."""

    statuses: Mapping[int, int]
    reset: frozenset[int]
    ended: bool


def exchanged(port: int, *sent: bytes, silence: float = SILENCE, until: Sequence[int] = ()) -> Outcome:
    """What comes back for these frames, until the server hangs up, or has finished these streams, or says nothing."""
    statuses: dict[int, int] = {}
    reset: set[int] = set()
    done: set[int] = set()
    decoder = hpack.Decoder()
    with socket.create_connection(("127.0.0.1", port), silence) as sock:
        try:
            sock.sendall(PREFACE + frame(Kind.SETTINGS) + b"".join(sent))
            for kind, flags, stream, payload in _frames(sock):
                if kind == Kind.HEADERS:
                    statuses.setdefault(stream, int(dict(decoder.decode(payload)).get(":status", 0)))
                if kind == Kind.RST_STREAM:
                    reset.add(stream)
                if kind == Kind.GOAWAY:
                    return Outcome(statuses, frozenset(reset), ended=True)
                if kind == Kind.RST_STREAM or (kind in (Kind.DATA, Kind.HEADERS) and flags & Flag.END_STREAM):
                    done.add(stream)
                if until and done.issuperset(until):
                    return Outcome(statuses, frozenset(reset), ended=False)
        except TimeoutError:
            return Outcome(statuses, frozenset(reset), ended=False)
        except (ConnectionResetError, BrokenPipeError):
            pass
    return Outcome(statuses, frozenset(reset), ended=True)


def _frames(sock: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
        while len(data) >= HEAD and len(data) >= HEAD + (size := int.from_bytes(data[:3], "big")):
            yield data[3], data[4], int.from_bytes(data[5:9], "big"), data[HEAD : HEAD + size]
            data = data[HEAD + size :]
