import pytest

from bench.xds.frames import PREFACE, DataFrames


def frame(kind: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 1]) + payload


WIRE = frame(4, b"\0" * 6) + frame(0, b"x" * 70) + frame(8, b"\0" * 4) + frame(0, b"") + frame(0, b"y" * 5)


@pytest.mark.parametrize("size", [1, 8, 9, 10, 50, len(WIRE) + len(PREFACE)])
@pytest.mark.parametrize("of_client", [False, True])
def test_bytes_of_messages_are_counted_however_they_come(size: int, of_client: bool):
    frames = DataFrames(of_client=of_client)
    wire = PREFACE + WIRE if of_client else WIRE
    parts = [wire[at : at + size] for at in range(0, len(wire), size)]

    assert sum(map(frames.receive, parts)) == 75


def test_they_are_counted_when_they_come():
    frames = DataFrames(of_client=False)

    assert [frames.receive(part) for part in (frame(0, b"x" * 9)[:12], b"x" * 6, frame(1, b"head"))] == [3, 6, 0]
