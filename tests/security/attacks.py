"""What an attack is, how one is written down, and what becomes of all of them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.security.conftest import Front
from tests.support.recorder import Recorded
from tests.support.wire import Answer, Fields, answers_to, http2, request

# Sent behind a body: where it is answered it is a request of its own, and has no credential.
SMUGGLED = request("/private/smuggled")
# Answered by closing the connection or resetting the stream.
DROPPED = 0


@dataclass(frozen=True)
class Attack:
    """What is sent, and the status of every answer to it."""

    name: str
    send: Callable[[int], list[Answer]]
    statuses: tuple[int, ...]


def http1(name: str, data: bytes, *statuses: int) -> Attack:
    return Attack(name, partial(answers_to, data=data), statuses)


def plain(name: str, target: str | bytes, *headers: bytes, status: int = 401, method: bytes = b"GET") -> Attack:
    return http1(name, request(target, *headers, method=method), status)


def bodied(
    name: str, *framing: bytes, body: bytes, statuses: tuple[int, ...], target: str = "/public/bodied"
) -> Attack:
    """A body on a public route, framed in this way, and a request for a private one behind it."""
    data = request(target, *framing, method=b"POST", body=body, close=False)
    return http1(name, data + SMUGGLED, *statuses)


def h2(
    name: str,
    path: str,
    *fields: tuple[str, str],
    status: int = DROPPED,
    pseudo: Mapping[str, str] | None = None,
    body: bytes = b"",
    trailers: Fields = (),
) -> Attack:
    usual = {":method": "GET", ":scheme": "http", ":authority": "gateway", ":path": path}
    sent = [*{**usual, **(pseudo or {})}.items(), *fields]
    return Attack(name, lambda port: [http2(port, sent, body, trailers)], (status,))


@dataclass(frozen=True)
class Siege:
    """The answers to all attacks, by name, and what of them reached the upstreams."""

    answers: Mapping[str, list[Answer]]
    private: Sequence[Recorded]
    open: Sequence[Recorded]

    def statuses(self, attack: Attack) -> tuple[int, ...]:
        return tuple(answer.status for answer in self.answers[attack.name]) or (DROPPED,)


def attacked(front: Front, attacks: Sequence[Attack]) -> Siege:
    """All attacks at once: Envoy waits a second before it closes on many of them."""
    private, public = len(front.private.requests), len(front.open.requests)
    with ThreadPoolExecutor(48) as pool:
        answers = pool.map(lambda attack: attack.send(front.port), attacks)
        by_name = dict(zip((attack.name for attack in attacks), answers, strict=True))
    return Siege(by_name, front.private.requests[private:], front.open.requests[public:])
