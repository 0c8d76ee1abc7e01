"""Random requests: the route that serves is the one the authorizer was told, and no private one serves unasked."""

import json
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.security.conftest import TOKEN, Besieged
from tests.support.eventually import until
from tests.support.recorder import Recorded
from tests.support.wire import http2, requested

TRIES = 4000
HTTP2_TRIES = 400
WORKERS = 8

WORDS = (
    "private",
    "public",
    "admin",
    "posts",
    "exact",
    "socket",
    "jwts",
    "x",
    "PRIVATE",
    "..",
    ".",
    "...",
    "health",
    "",
)
SEPARATORS = (
    "/",
    "/",
    "/",
    "/",
    "//",
    "/./",
    "/../",
    "\\",
    ";",
    ";a=b/",
    "%2f",
    "%5c",
    "%2e%2e/",
    "/%2e/",
    "?",
    "#",
    "%00",
)
ENDS = ("", "", "", "/", "?", "?admin", "?%61dmin=1", "?/private/x", "/..", "/.", ";x", "%20", "%", "%zz")
HOSTS = ("gateway", "gateway", "gateway", "admin.example.com", "ADMIN.example.com", "admin.example.com.", "gateway:80")
METHODS = ("GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT")
CREDENTIALS: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    (),
    (("Authorization", f"Bearer {TOKEN}"),),
    (("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")),
    (("Authorization", "Bearer other"),),
    (("Authorization", f"Basic {TOKEN}"),),
    (("X-Authorization", f"Bearer {TOKEN}"),),
)
HEADERS = (
    ("X-Tollgate-Subject", "root"),
    ("X-Tollgate-Profile", "-"),
    ("X-Envoy-Original-Path", "/public/x"),
    ("X-Request-Id", "mine"),
    ("X-Original-URL", "/private/x"),
    ("X-HTTP-Method-Override", "POST"),
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Host", "admin.example.com"),
    ("Content-Type", "application/grpc"),
    ("X-Beta", "1"),
    ("X-Beta", "2"),
)


@dataclass(frozen=True)
class Try:
    """One random request; `number` goes with it, so that an upstream's record can be traced to it."""

    number: int
    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...]

    @property
    def credible(self) -> bool:
        """Whether its credential is the one that is valid, and the only one."""
        return [value for name, value in self.headers if name == "Authorization"] == [f"Bearer {TOKEN}"]

    @property
    def http1(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}", f"X-Try: {self.number}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "\r\n"]).encode()

    @property
    def fields(self) -> list[tuple[str, str]]:
        pseudo = [(":method", self.method), (":scheme", "http"), (":authority", self.host), (":path", self.path)]
        return [*pseudo, ("x-try", str(self.number)), *((name.lower(), value) for name, value in self.headers)]


def random_try(number: int) -> Try:
    """Drawn from the generator that pytest-randomly seeds: `-p randomly_seed` brings a failure back."""
    return Try(
        number,
        random.choice(METHODS),
        random_path(),
        random.choice(HOSTS),
        (*random.choice(CREDENTIALS), *random.sample(HEADERS, random.randrange(3))),
    )


def random_path() -> str:
    parts = "".join(random.choice(SEPARATORS) + random_word() for _ in range(random.randrange(1, 5)))
    path = parts if parts.startswith("/") or random.random() < 0.1 else f"/{parts}"
    return random.choice(("", "", "", "http://gateway", "http://admin.example.com")) + path + random.choice(ENDS)


def random_word() -> str:
    """A word of a route, now and then with a letter in percent-encoding."""
    word = random.choice(WORDS)
    if not word or random.random() < 0.8:
        return word
    position = random.randrange(len(word))
    return f"{word[:position]}%{ord(word[position]):02x}{word[position + 1 :]}"


def sent(besieged: Besieged, tries: Iterable[Try]) -> int:
    """How many of the requests were answered; each worker keeps its connection while Envoy does."""
    port = besieged.gateway.port
    batches = [list(tries)[worker::WORKERS] for worker in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(lambda batch: requested(port, [attempt.http1 for attempt in batch]), batches))


def sent_by_http2(besieged: Besieged, tries: Iterable[Try]) -> int:
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = pool.map(lambda attempt: http2(besieged.gateway.port, attempt.fields), tries)
        return sum(answer.status > 0 for answer in answers)


def test_the_authorizer_is_told_the_route_that_serves(besieged: Besieged):
    tries = [random_try(number) for number in range(TRIES)]
    # Over HTTP/2 a path without a slash costs the connection; the table of attacks has those.
    more = [random_try(TRIES + number) for number in range(2 * HTTP2_TRIES)]
    others = [attempt for attempt in more if attempt.path.startswith("/")][:HTTP2_TRIES]

    answered = sent(besieged, tries) + sent_by_http2(besieged, others)

    private, public = numbered(besieged.private.requests), numbered(besieged.open.requests)
    until(lambda: rows(besieged).keys() >= decisions(besieged).keys() | private.keys() | public.keys())
    told = until(lambda: found if (found := decisions(besieged)).keys() >= private.keys() else None)
    print(f"{answered} tries, {len(private)} reached the private upstream, {len(public)} the open one")
    assert answered == len(tries) + len(others)
    assert min(len(private), len(public)) > TRIES / 100

    logged = rows(besieged)
    assert {name: told[name]["route"] for name in told} == {name: logged[name]["route"] for name in told}
    assert {told[name]["outcome"] for name in private} == {"allow"}
    assert set(private.values()) <= {attempt.number for attempt in (*tries, *others) if attempt.credible}
    assert not public.keys() & told.keys()


def rows(besieged: Besieged) -> dict[str, dict]:
    """The access log, by request id."""
    return {row["request_id"]: row for row in besieged.gateway.access_log()}


def decisions(besieged: Besieged) -> dict[str, dict]:
    """What the authorizer logged, by request id."""
    lines = map(json.loads, besieged.gateway.log("authz").splitlines())
    return {line["request_id"]: line for line in lines if line["event"] == "decision"}


def numbered(requests: Iterable[Recorded]) -> dict[str, int]:
    """The number of each try that arrived, by the request id that the gateway gave it."""
    return {
        request.values(b"x-request-id")[0].decode(): int(request.values(b"x-try")[0])
        for request in requests
        if request.values(b"x-try")
    }
