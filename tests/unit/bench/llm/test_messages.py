import pytest

from bench.answers import Unreadable
from bench.llm.messages import MessageReader

COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


@pytest.mark.parametrize("message", [pytest.param(COUNTED, id="counted"), pytest.param(CHUNKED, id="in chunks")])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_comes_whole_however_it_is_cut(message: bytes, size: int):
    reader = MessageReader()
    ended = [reader.whole]
    body = b""
    for start in range(0, len(message), size):
        body += reader.receive(message[start : start + size])
        ended.append(reader.whole)

    assert body == b"hello"
    assert ended == [False] * (len(ended) - 1) + [True]


def test_a_chunk_is_told_before_the_next_one_comes():
    reader = MessageReader()
    end = CHUNKED.index(b"2\r\n")

    assert reader.receive(CHUNKED[:end]) == b"hel"
    assert reader.status == 201
    assert not reader.whole


def test_a_request_without_a_body_is_whole():
    reader = MessageReader()

    assert reader.receive(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") == b""
    assert reader.whole


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", id="until the connection ends"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nwhat?\r\n", id="a chunk without a size"),
    ],
)
def test_what_cannot_be_read_is_an_error(data: bytes):
    with pytest.raises(ValueError):
        MessageReader().receive(data)


def test_what_is_no_answer_has_no_status():
    reader = MessageReader()
    reader.receive(b"what?\r\n\r\n")

    with pytest.raises(Unreadable, match="no answer"):
        _ = reader.status
