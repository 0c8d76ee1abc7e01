"""HTTP/2 that no library would send, frame by frame: whatever becomes of the connection, nothing gets through unasked
and the gateway goes on.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.security.conftest import TOKEN, Besieged
from tests.support.h2_frames import CONNECTION, FIRST, SECOND, WHOLE, Flag, Kind, Outcome, block, exchanged, frame

BEARER = ("authorization", f"Bearer {TOKEN}")
POST = {"method": "POST"}
PRIVATE, PUBLIC = block("/private/frames"), block("/public/frames")
OPEN = frame(Kind.HEADERS, PUBLIC, WHOLE, FIRST)
BEGUN = frame(Kind.HEADERS, block("/public/frames", **POST), Flag.END_HEADERS, FIRST)
SHUT = frame(Kind.HEADERS, PRIVATE, WHOLE, FIRST)
# What one frame holds where nobody has agreed on more.
LARGEST = 16_384
# An entry of 4,000 bytes in the table of both sides, which a single byte then stands for (RFC 7541, 6.1 and 6.2.1).
ENTRY = b"\x40\x01x\x7f\xa1\x1e" + 4000 * b"a"
ENDED = "ended"


def continued(data: bytes, stream: int, first: bytes = PRIVATE) -> bytes:
    """A header block in as many frames as it needs."""
    parts = [data[at : at + LARGEST] for at in range(0, len(data), LARGEST)]
    flags = [Flag.NONE] * (len(parts) - 1) + [Flag.END_HEADERS]
    return frame(Kind.HEADERS, first, Flag.END_STREAM, stream) + b"".join(
        frame(Kind.CONTINUATION, part, flag, stream) for part, flag in zip(parts, flags, strict=True)
    )


def with_length(length: int, data: bytes) -> bytes:
    head = block("/public/frames", ("content-length", str(length)), **POST)
    return frame(Kind.HEADERS, head, Flag.END_HEADERS, FIRST) + frame(Kind.DATA, data, Flag.END_STREAM, FIRST)


# What is sent, and what comes of it: the status of the first stream, 0 where it is reset, or the end of all.
FRAMES: dict[str, tuple[bytes, int | str]] = {
    "an even stream": (frame(Kind.HEADERS, PRIVATE, WHOLE, 2), ENDED),
    "the connection as a stream": (frame(Kind.HEADERS, PRIVATE, WHOLE, CONNECTION), ENDED),
    "data of nothing": (frame(Kind.DATA, b"x", Flag.END_STREAM, FIRST), ENDED),
    "data behind the end": (OPEN + frame(Kind.DATA, b"x", Flag.END_STREAM, FIRST), ENDED),
    "headers behind the end": (OPEN + frame(Kind.HEADERS, PRIVATE, WHOLE, FIRST), ENDED),
    "headers in the middle": (BEGUN + frame(Kind.HEADERS, PRIVATE, Flag.END_HEADERS, FIRST), ENDED),
    "a continuation of nothing": (frame(Kind.CONTINUATION, PRIVATE, Flag.END_HEADERS, FIRST), ENDED),
    "a frame amid headers": (frame(Kind.HEADERS, PRIVATE, Flag.END_STREAM, FIRST) + frame(Kind.PING, bytes(8)), ENDED),
    "another stream amid headers": (
        frame(Kind.HEADERS, block("/private/frames", BEARER), Flag.END_STREAM, FIRST)
        + frame(Kind.CONTINUATION, b"", Flag.END_HEADERS, SECOND), ENDED,
    ),
    "continuations without end": (
        frame(Kind.HEADERS, PRIVATE, Flag.END_STREAM, FIRST) + 20_000 * frame(Kind.CONTINUATION, b"", Flag.NONE, FIRST),
        ENDED,
    ),
    "headers of 70 KB": (continued(block("/private/frames", BEARER, ("x", 70_000 * "a")), FIRST, b""), ENDED),
    "headers that unfold to a megabyte": (continued(ENTRY + 250 * b"\xbe", FIRST), 0),
    "an index of nothing": (frame(Kind.HEADERS, PRIVATE + b"\xff\x7f", WHOLE, FIRST), ENDED),
    "a table of a gigabyte": (frame(Kind.HEADERS, b"\x3f\xe1\xff\xff\xff\x03" + PRIVATE, WHOLE, FIRST), ENDED),
    "a number that never ends": (frame(Kind.HEADERS, PRIVATE + b"\xff" + 40 * b"\xff", WHOLE, FIRST), ENDED),
    "padding longer than its frame": (frame(Kind.HEADERS, b"\xff" + PRIVATE, WHOLE | Flag.PADDED, FIRST), ENDED),
    "a frame larger than agreed": (frame(Kind.HEADERS, PRIVATE + 17_000 * b"a", WHOLE, FIRST), ENDED),
    "a length above the data": (with_length(10, b"hello"), 0),
    "a length below the data": (with_length(3, b"hello"), 0),
    "trailers without an end": (BEGUN + frame(Kind.HEADERS, b"\x00\x01x\x01y", Flag.END_HEADERS, FIRST), ENDED),
    "a promise of a client": (frame(Kind.PUSH_PROMISE, bytes(4) + PRIVATE, Flag.END_HEADERS, FIRST), ENDED),
    "a window of nothing": (frame(Kind.WINDOW_UPDATE, bytes(4)), ENDED),
    "a window beyond numbers": (2 * frame(Kind.WINDOW_UPDATE, b"\x7f\xff\xff\xff"), ENDED),
    "settings of a stream": (frame(Kind.SETTINGS, b"", Flag.NONE, FIRST), ENDED),
    "settings that are cut off": (frame(Kind.SETTINGS, b"\x00\x01\x00"), ENDED),
    "a frame of no kind": (frame(250, b"x", Flag.NONE, FIRST) + SHUT, 401),
    "a stream that depends on itself": (frame(Kind.PRIORITY, FIRST.to_bytes(4, "big") + b"\x00", stream=FIRST) + SHUT,
    401),
    "two methods": (frame(Kind.HEADERS, PRIVATE + b"\x00\x07:method\x04POST", WHOLE, FIRST), ENDED),
    "two paths": (frame(Kind.HEADERS, PUBLIC + b"\x00\x05:path\x0a/private/x", WHOLE, FIRST), ENDED),
    "two authorities": (frame(Kind.HEADERS, PUBLIC + b"\x00\x0a:authority\x11admin.example.com", WHOLE, FIRST), ENDED),
    "a path behind a header": (
        frame(Kind.HEADERS, PUBLIC.replace(b"\x00\x05:path\x0e/public/frames",
            b"\x00\x01x\x01y") + b"\x00\x05:path\x02/x",
              WHOLE, FIRST), ENDED,
    ),
    "a status in a request": (frame(Kind.HEADERS, PUBLIC + b"\x00\x07:status\x03200", WHOLE, FIRST), ENDED),
    "an empty name": (frame(Kind.HEADERS, PUBLIC + b"\x00\x00\x01x", WHOLE, FIRST), ENDED),
    "a path that is no UTF-8": (frame(Kind.HEADERS, block("/private/\xe9\xff"), WHOLE, FIRST), 401),
    "a host that is no UTF-8": (frame(Kind.HEADERS, PRIVATE.replace(b"gateway", b"gatewa\xe9"), WHOLE, FIRST), ENDED),
    "a credential that is no UTF-8": (
        frame(Kind.HEADERS, block("/private/frames", ("authorization", "Bearer \xff\xfe")), WHOLE, FIRST), 401,
    ),
    "a value with a NUL": (frame(Kind.HEADERS, block("/private/frames", ("x", "a\x00b")), WHOLE, FIRST), ENDED),
    "a scheme of another world": (frame(Kind.HEADERS, PRIVATE.replace(b"\x04http", b"\x04file"), WHOLE, FIRST), 401),
}  # fmt: skip


def met(outcome: Outcome) -> int | str:
    if FIRST in outcome.statuses:
        return outcome.statuses[FIRST]
    return ENDED if outcome.ended else 0


@pytest.fixture(scope="module")
def outcomes(judged_by_envoy: Besieged) -> dict[str, Outcome]:
    def sent(name: str) -> Outcome:
        return exchanged(judged_by_envoy.port, FRAMES[name][0], until=[FIRST])

    with ThreadPoolExecutor(16) as pool:
        return dict(zip(FRAMES, pool.map(sent, FRAMES), strict=True))


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_are_no_request(outcomes: dict[str, Outcome], name: str):
    assert met(outcomes[name]) == FRAMES[name][1]


def test_no_frame_reaches_the_private_upstream(judged_by_envoy: Besieged, outcomes: dict[str, Outcome]):
    assert len(outcomes) == len(FRAMES)
    assert judged_by_envoy.private.of("/private/frames") == []


STREAMS = range(1, 2000, 2)


def begun_and_reset(head: bytes) -> bytes:
    """A thousand requests of which the client wants nothing any more."""
    resets = (frame(Kind.RST_STREAM, bytes(4), stream=stream) for stream in STREAMS)
    return b"".join(frame(Kind.HEADERS, head, WHOLE, stream) + next(resets) for stream in STREAMS)


# What costs a client little and a server much. How many of them Envoy takes is its own business.
FLOODS: dict[str, Callable[[], bytes]] = {
    "pings": lambda: 10_000 * frame(Kind.PING, bytes(8)),
    "settings": lambda: 10_000 * frame(Kind.SETTINGS, b"\x00\x04\x00\x00\xff\xff"),
    "priorities": lambda: 20_000 * frame(Kind.PRIORITY, (FIRST).to_bytes(4, "big") + b"\x00", stream=5),
    "empty data": lambda: BEGUN + 20_000 * frame(Kind.DATA, b"", Flag.NONE, FIRST),
    "window updates": lambda: BEGUN + 20_000 * frame(Kind.WINDOW_UPDATE, b"\x00\x00\x00\x01", Flag.NONE, FIRST),
    "resets": lambda: begun_and_reset(block("/private/flood", BEARER)),
    "resets of what is counted": lambda: begun_and_reset(block("/per-subject", BEARER)),
    "streams": lambda: b"".join(frame(Kind.HEADERS, block("/private/flood"), WHOLE, stream) for stream in STREAMS),
    "streams without end": lambda: b"".join(
        frame(Kind.HEADERS, block("/private/flood", **POST), Flag.END_HEADERS, stream) for stream in STREAMS
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_costs_its_own_connection(judged_by_envoy: Besieged, name: str):
    """CVE-2023-44487 and its relatives: others are served meanwhile, by the same Envoy, and nothing gets through."""
    envoy = judged_by_envoy.gateway.pid_of("envoy")

    flood = exchanged(judged_by_envoy.port, FLOODS[name](), silence=0.5)
    other = exchanged(
        judged_by_envoy.port, frame(Kind.HEADERS, block("/private/beside", BEARER), WHOLE, FIRST), until=[FIRST]
    )

    assert {status for status in flood.statuses.values() if not name.startswith("resets")} <= {200, 401}
    assert other.statuses == {FIRST: 200}
    assert judged_by_envoy.gateway.pid_of("envoy") == envoy
    assert [
        found for found in judged_by_envoy.private.of("/private/flood") if not found.values(b"x-tollgate-subject")
    ] == []


def test_streams_of_one_connection_are_judged_one_by_one(judged_by_envoy: Besieged):
    """A credential of one stream, or of an earlier one, is none of another."""
    paths = ["/private/mine", "/private/theirs", "/private/mine", "/private/theirs"]
    heads = [block(path, *([BEARER] if path.endswith("mine") else [])) for path in paths]
    streams = range(1, 2 * len(paths), 2)

    outcome = exchanged(
        judged_by_envoy.port,
        *(frame(Kind.HEADERS, head, WHOLE, stream) for head, stream in zip(heads, streams, strict=True)),
        until=streams,
    )

    assert outcome.statuses == {1: 200, 3: 401, 5: 200, 7: 401}
    assert judged_by_envoy.private.of("/private/theirs") == []
