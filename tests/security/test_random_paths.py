"""Random requests: the route that serves is the one the authorizer was told, and no private one serves unasked.

`--tries` says how many; `make attack` sends 100,000 to a gateway of each kind.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from control_plane.compile import compile_file
from service_kit.contract import PUBLIC_PROFILE
from tests.security.conftest import GOOD_KEY, TOKEN, Besieged
from tests.support.eventually import until
from tests.support.followed_log import FollowedLog
from tests.support.issuers import as_long_as_the_tests, token
from tests.support.recorder import Recorded
from tests.support.wire import http2, requested

# Of one round, after which what became of it is looked at; one in so many is sent over HTTP/2, which takes longer.
ROUND = 4000
HTTP2_ONE_IN = 10
WORKERS = 8
JWT, KEY = token(exp=as_long_as_the_tests()), GOOD_KEY.text
GOOD = frozenset({f"Bearer {TOKEN}", f"Bearer {JWT}", f"Bearer {KEY}"})

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
ENDS = (
    "", "", "", "", "/", "?", "?admin", "?%61dmin=1", "?/private/x", "/..", "/.", ";x", "%20", "%", "%zz",
    f"?api_key={KEY}", f"?a&api%5Fkey={KEY}", f"?api_key={KEY}&api_key={KEY}", f"?a;api_key={KEY}",
)  # fmt: skip
HOSTS = ("gateway", "gateway", "gateway", "admin.example.com", "ADMIN.example.com", "admin.example.com.", "gateway:80")
METHODS = ("GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT")
AUTHORIZATION, API_KEY = "Authorization", "X-Api-Key"
CREDENTIALS: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    (),
    ((AUTHORIZATION, f"Bearer {TOKEN}"),),
    ((AUTHORIZATION, f"Bearer {JWT}"),),
    ((AUTHORIZATION, f"Bearer {JWT[:-4]}AAAA"),),
    ((AUTHORIZATION, f"Bearer {TOKEN}"), (AUTHORIZATION, "Bearer other")),
    ((AUTHORIZATION, f"Bearer {JWT}"), (API_KEY, KEY)),
    ((AUTHORIZATION, "Bearer other"),),
    ((AUTHORIZATION, f"Basic {TOKEN}"),),
    ((API_KEY, KEY),),
    ((API_KEY, KEY[:-1]),),
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
    ("X-Rewrite-URL", "/private/x"),
    ("X-Tollgate-Consumer", "acme"),
    ("Cookie", "tollgate-key=x"),
    ("Connection", "authorization, x-api-key"),
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
        """Whether it has one credential, and that is good; one that its connection names is not there."""
        if ("Connection", "authorization, x-api-key") in self.headers:
            return self._of_the_query() == [True]
        found = [value in GOOD for name, value in self.headers if name == AUTHORIZATION]
        found += [value == KEY for name, value in self.headers if name == API_KEY]
        return found + self._of_the_query() == [True]

    def _of_the_query(self) -> list[bool]:
        fields = self.path.partition("?")[2].replace("%5F", "_").split("&")
        return [text == f"api_key={KEY}" for text in fields if text.partition("=")[0] == "api_key"]

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
    batches = [list(tries)[worker::WORKERS] for worker in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(lambda batch: requested(besieged.port, [attempt.http1 for attempt in batch]), batches))


def sent_by_http2(besieged: Besieged, tries: Iterable[Try]) -> int:
    with ThreadPoolExecutor(WORKERS) as pool:
        answers = pool.map(lambda attempt: http2(besieged.port, attempt.fields), tries)
        return sum(answer.status > 0 for answer in answers)


@dataclass
class Round:
    """Some tries, what of them arrived, and what was written down; all by the request id that the gateway gave."""

    tries: dict[int, Try]
    private: dict[str, int]
    public: dict[str, int]
    logged: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def written_down(self, access: FollowedLog, decisions: FollowedLog) -> bool:
        """Whether there is a line for everything that arrived, and for everything that the authorizer was told."""
        self.told |= {line["request_id"]: line for line in decisions.new() if line["event"] == "decision"}
        self.logged |= {row["request_id"]: row for row in access.new()}
        asked = {name for name in self.private if name in self.logged and self.logged[name]["decision"] is not None}
        arrived = self.private.keys() | self.public.keys()
        return self.logged.keys() >= self.told.keys() | arrived and self.told.keys() >= asked

    def bypasses(self, profiles: Mapping[str, str]) -> Iterator[object]:
        """What must not be."""
        for name, line in self.told.items():
            if line["route"] != self.logged[name]["route"]:
                yield "told another route", line, self.logged[name]
        for name, number in self.private.items():
            row, line = self.logged[name], self.told.get(name)
            if not self.tries[number].credible:
                yield "served without a credential", self.tries[number], row
            if row["profile"] != profiles[row["route"]] or row["profile"] == PUBLIC_PROFILE:
                yield "served under another profile", self.tries[number], row
            if (row["decision"] is None) != (line is None) or (line is not None and line["outcome"] != "allow"):
                yield "served against the decision", self.tries[number], row, line
        for name in self.public.keys() & self.told.keys():
            yield "asked, and served as public", self.told[name], self.logged[name]


def played(besieged: Besieged, first: int, access: FollowedLog, decisions: FollowedLog) -> Round:
    """A round of tries with numbers from this one on."""
    private, public = len(besieged.private.requests), len(besieged.open.requests)
    tries = [random_try(first + number) for number in range(ROUND)]
    # Over HTTP/2 a path without a slash costs the connection; the table of attacks has those.
    more = [random_try(first + ROUND + number) for number in range(2 * ROUND // HTTP2_ONE_IN)]
    others = [attempt for attempt in more if attempt.path.startswith("/") and not hop_by_hop(attempt)]
    others = others[: ROUND // HTTP2_ONE_IN]

    assert sent(besieged, tries) + sent_by_http2(besieged, others) == len(tries) + len(others)

    arrived = (numbered(besieged.private.requests[private:]), numbered(besieged.open.requests[public:]))
    found = Round({attempt.number: attempt for attempt in (*tries, *others)}, *arrived)
    until(lambda: found.written_down(access, decisions))
    return found


def hop_by_hop(attempt: Try) -> bool:
    """Of one connection, which HTTP/2 has no header for."""
    return any(name == "Connection" for name, _ in attempt.headers)


def test_the_authorizer_is_told_the_route_that_serves(besieged: Besieged, pytestconfig: pytest.Config):
    compiled = compile_file(besieged.gateway.file, {}).gateway.routes
    profiles = {route.name: route.demand.profile if route.demand else PUBLIC_PROFILE for route in compiled}
    logs = besieged.gateway.folder / "state" / "logs"
    counts = {"tries": 0, "private": 0, "open": 0, "asked": 0}

    with closing(FollowedLog(logs / "access.log")) as access, closing(FollowedLog(logs / "authz.log")) as decisions:
        while counts["tries"] < pytestconfig.getoption("tries"):
            found = played(besieged, counts["tries"], access, decisions)
            assert list(found.bypasses(profiles)) == []
            for name, seen in zip(counts, (found.tries, found.private, found.public, found.told), strict=True):
                counts[name] += len(seen)

    print(
        "{tries} tries, {private} reached the private upstream, {open} the open one; {asked} decisions".format(**counts)
    )
    assert min(counts["private"], counts["open"]) > counts["tries"] / 100


def numbered(requests: Iterable[Recorded]) -> dict[str, int]:
    """The number of each try that arrived, by the request id that the gateway gave it."""
    return {
        request.values(b"x-request-id")[0].decode(): int(request.values(b"x-try")[0])
        for request in requests
        if request.values(b"x-try")
    }
