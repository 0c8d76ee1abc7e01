import pytest

from bench.answers import Answer, AnswerReader, Unreadable

WHOLE = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\nserver: x\r\n\r\nslow!"


@pytest.mark.parametrize("size", [1, 7, len(WHOLE)], ids=lambda size: f"{size} bytes at a time")
def test_an_answer_is_read_however_its_bytes_come(size: int):
    reader = AnswerReader()
    parts = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]

    answers = [reader.receive(part) for part in parts]

    assert answers == [None] * (len(parts) - 1) + [Answer(429, b"slow!")]


def test_the_next_answer_begins_anew():
    reader = AnswerReader()

    assert reader.receive(WHOLE) == reader.receive(WHOLE) == Answer(429, b"slow!")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", id="no length"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", id="another protocol"),
    ],
)
def test_what_has_no_length_is_refused(data: bytes):
    with pytest.raises(Unreadable):
        AnswerReader().receive(data)
