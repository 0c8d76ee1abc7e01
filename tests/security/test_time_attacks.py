"""Between the question and the end of a request: slow bodies, credentials that end meanwhile or were good before."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.security.conftest import GOOD_KEY, TOKEN, Besieged
from tests.support.eventually import until
from tests.support.issuers import token
from tests.support.wire import Answer, answers, answers_to, request

HALF = b"half of a body"
UPGRADE = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip


class Slow:
    """A request whose body does not end by itself."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def finish(self) -> Answer:
        self.sock.sendall(HALF)
        return self.answer()

    def answer(self) -> Answer:
        data = b""
        while not (found := list(answers(data))):
            chunk = self.sock.recv(65536)
            assert chunk, f"no answer, only {data!r}"
            data += chunk
        return found[0]


@contextmanager
def begun(besieged: Besieged, path: str, *headers: bytes, let_in: bool = False) -> Iterator[Slow]:
    """A request with one half of its body; one that is `let_in` has reached its upstream with that."""
    length = b"Content-Length: %d" % (2 * len(HALF))
    with socket.create_connection(("127.0.0.1", besieged.port), 10) as sock:
        sock.sendall(request(path, *headers, length, method=b"POST", body=HALF))
        if let_in:
            until(lambda: besieged.private.has_begun(path))
        yield Slow(sock)


def bearer(credential: str) -> bytes:
    return f"Authorization: Bearer {credential}".encode()


def ask(besieged: Besieged, path: str, *headers: bytes) -> tuple[int, str | None]:
    (answer,) = answers_to(besieged.port, request(path, *headers))
    return answer.status, None if answer.status == 200 else json.loads(answer.body)["error"]["code"]


@pytest.mark.parametrize(
    "headers", [(), (bearer("wrong"),), (b"Expect: 100-continue",)], ids=["none", "wrong", "expect"]
)
def test_who_may_not_is_told_before_the_body_has_ended(besieged: Besieged, headers: tuple[bytes, ...]):
    with begun(besieged, "/private/unheard", *headers) as slow:
        assert slow.answer().status == 401

    assert besieged.private.of("unheard") == []


def test_a_request_lives_on_when_its_token_ends_and_no_other_begins(besieged: Besieged):
    """A request is judged once, when its headers are there (docs/authorization.md)."""
    expires = int(time.time()) + 2
    short = bearer(token(exp=expires))
    assert ask(besieged, "/private/short", short) == (200, None)

    with begun(besieged, "/private/slow-body", short, let_in=True) as slow:
        until(lambda: time.time() > expires + 0.1)
        assert slow.finish().status == 200

    assert [found.body for found in besieged.private.of("slow-body")][-1:] == [2 * HALF]
    assert ask(besieged, "/private/short", short) == (401, "expired_token")


def test_half_a_request_is_no_request(besieged: Besieged):
    """Broken off by the client: what arrived carries the identity that was found, and the next is judged by itself."""
    for _ in range(20):
        with begun(besieged, "/private/half", bearer(TOKEN)) as slow:
            slow.sock.shutdown(socket.SHUT_WR)

    assert all(found.values(b"x-tollgate-subject") == [b"ops"] for found in besieged.private.of("/private/half"))
    assert ask(besieged, "/private/half") == (401, "missing_credential")


@contextmanager
def operator(besieged: Besieged) -> Iterator[Callable[..., Any]]:
    headers = {"authorization": f"Bearer {besieged.gateway.admin_token()}"}
    with httpx.Client(base_url=besieged.gateway.admin_url, headers=headers, trust_env=False) as http:

        def call(path: str, **body: Any) -> Any:
            response = http.post(path, json=body)
            assert response.status_code == 200, response.text
            return response.json()

        yield call


def test_a_revoked_key_opens_nothing_on_a_connection_that_it_opened(besieged: Besieged):
    with operator(besieged) as call, besieged.gateway.client() as client:
        made = call("/keys", consumer="acme")
        key = {"x-api-key": made["key"]}
        before = [client.get("/private/kept", headers=key).status_code for _ in range(3)]
        with begun(besieged, "/private/kept-on", b"X-Api-Key: " + made["key"].encode(), let_in=True) as slow:
            call(f"/keys/{made['id']}/revoke")
            after = [client.get("/private/kept", headers=key).status_code for _ in range(3)]
            last = slow.finish().status

    assert (before, after, last) == ([200] * 3, [401] * 3, 200)


def test_a_key_that_ends_does_so_by_the_second(besieged: Besieged):
    """Stored keys are not asked for again: the authorizer's own clock ends them."""
    with operator(besieged) as call:
        expires = int(time.time()) + 2
        made = call("/keys", consumer="acme", expires=expires)
        key = b"X-Api-Key: " + made["key"].encode()

        assert ask(besieged, "/private/brief", key) == (200, None)
        until(lambda: time.time() > expires)
        assert ask(besieged, "/private/brief", key) == (401, "unknown_api_key")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param((), 401, id="nobody"),
        pytest.param((b"X-Api-Key: wrong",), 401, id="wrong"),
        pytest.param((b"X-Api-Key: " + GOOD_KEY.text.encode(), bearer(TOKEN)), 400, id="two"),
        pytest.param((b"Sec-WebSocket-Protocol: tgk, " + GOOD_KEY.text.encode(),), 401, id="as-a-protocol"),
    ],
)
def test_an_upgrade_is_judged_like_any_request(besieged: Besieged, headers: tuple[bytes, ...], status: int):
    data = request("/socket?upgraded", *UPGRADE, *headers, close=False)

    (answer,) = answers_to(besieged.port, data, silence=0.5)

    assert answer.status == status
    assert besieged.private.of("upgraded") == []
