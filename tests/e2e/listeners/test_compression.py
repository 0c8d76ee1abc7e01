"""Answers that are compressed for clients that ask for it."""

import gzip
import json

import httpx
import pytest

from tests.e2e.listeners.conftest import Front

LONG = {"x-padding": "a" * 4000}


def ask(
    front: Front, accepted: str | None, listener: str = "proxied", path: str = "/public/x", **headers: str
) -> httpx.Response:
    """The answer as it crossed the wire."""
    with httpx.Client(trust_env=False) as client:
        del client.headers["accept-encoding"]
        sent = {**LONG, **headers, **({} if accepted is None else {"accept-encoding": accepted})}
        with client.stream("GET", front.url(listener, "http") + path, headers=sent) as response:
            response.extensions["body"] = b"".join(response.iter_raw())
            return response


@pytest.mark.parametrize(
    ("listener", "accepted", "encoding"),
    [
        pytest.param("proxied", "gzip", "gzip", id="gzip"),
        pytest.param("proxied", "br", "br", id="brotli"),
        pytest.param("proxied", "br, gzip", "gzip", id="the-first-of-the-listener"),
        pytest.param("proxied", "br, gzip;q=0.5", "br", id="the-client-prefers"),
        pytest.param("proxied", "*", "gzip", id="anything"),
        pytest.param("proxied", "zstd", None, id="one-that-is-not-offered"),
        pytest.param("proxied", "gzip;q=0", None, id="refused"),
        pytest.param("proxied", "identity", None, id="identity"),
        pytest.param("proxied", None, None, id="nothing-accepted"),
        pytest.param("zstd", "zstd", "zstd", id="zstd"),
        pytest.param("zstd", "gzip, zstd, br", "zstd", id="zstd-first"),
        pytest.param("zstd", "gzip", "gzip", id="what-else-is-offered"),
        pytest.param("small", "gzip", None, id="a-listener-without"),
    ],
)
def test_encodings(front: Front, listener: str, accepted: str | None, encoding: str | None):
    response = ask(front, accepted, listener)

    assert response.headers.get("content-encoding") == encoding
    assert (len(response.extensions["body"]) < 1500) == (encoding is not None)
    if listener != "small":
        assert "accept-encoding" in response.headers["vary"].lower()


def test_what_is_compressed_is_the_answer(front: Front):
    body = gzip.decompress(ask(front, "gzip").extensions["body"])

    assert dict(json.loads(body)["headers"])["x-padding"] == LONG["x-padding"]


def test_a_strong_etag_is_not_that_of_the_compressed_answer(front: Front):
    path = "/public/counted/x?etag=%22abc%22"

    assert ask(front, "identity", path=path).headers["etag"] == '"abc"'
    assert "etag" not in ask(front, "gzip", path=path).headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/public/counted/x", {"x-padding": "short"}, id="short"),
        pytest.param("/public/counted/x?content-type=image/png", {}, id="of-a-kind-that-does-not-shrink"),
        pytest.param("/public/counted/x?content-encoding=br", {}, id="compressed-already"),
        pytest.param("/public/counted/x?cache-control=no-transform", {}, id="not-to-be-changed"),
    ],
)
def test_what_is_left_alone(front: Front, path: str, headers: dict[str, str]):
    response = ask(front, "gzip", path=path, **headers)

    assert response.headers.get("content-encoding") != "gzip"
    assert response.extensions["body"].startswith(b"{")


@pytest.mark.parametrize(
    ("listener", "accepted", "encoding"),
    [
        pytest.param("proxied", "gzip", "gzip", id="gzip"),
        pytest.param("proxied", "br", "br", id="brotli"),
        pytest.param("zstd", "zstd", None, id="zstd"),
        pytest.param("zstd", "zstd, gzip", "gzip", id="zstd-gives-way"),
    ],
)
def test_events_arrive_one_by_one(front: Front, listener: str, accepted: str, encoding: str | None):
    front.upstream.gate.clear()
    with (
        httpx.Client(trust_env=False) as client,
        client.stream("GET", front.url(listener, "http") + "/stream", headers={"accept-encoding": accepted}) as answer,
    ):
        pieces = answer.iter_raw()
        first = next(pieces)
        assert first  # the upstream has sent no more than the first event
        front.upstream.gate.set()
        rest = b"".join(pieces)
        assert answer.headers.get("content-encoding") == encoding
    if encoding == "gzip":
        assert gzip.decompress(first + rest) == b"data: first\n\ndata: last\n\n"
