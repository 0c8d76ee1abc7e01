"""Two credentials in one request, in every pair of places, and whatever only looks like one: the same answer whoever
judges tokens, and never a yes to one credential while another goes on to the upstream.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from uuid import uuid4

import pytest

from tests.security.conftest import BARE_KEY, GOOD_KEY, TOKEN, Besieged
from tests.support.issuers import as_long_as_the_tests, partner_token, token
from tests.support.recorder import Recorded
from tests.support.wire import answers_to, request

TRIES = 600
WORKERS = 8
KEY, BARE = GOOD_KEY.text.encode(), BARE_KEY.text.encode()
JWT = token(scope="email.send", exp=as_long_as_the_tests()).encode()
PARTNERS = b"a token of the second issuer"
# Differ from request to request, or as docs/native.md says.
OWN = frozenset({b"x-request-id", b"x-tollgate-consumer", b"x-tollgate-decision-id"})


@cache
def partners() -> bytes:
    """The same for all tests of this module, from the first one on."""
    return b"Authorization: Bearer " + partner_token().encode()


@dataclass(frozen=True)
class Place:
    """What a request has in it: a header, or a part of its query."""

    header: bytes = b""
    query: bytes = b""

    @property
    def said(self) -> bytes:
        """The header; the second issuer's tokens live too short to be made when this module is read."""
        return partners() if self.header == PARTNERS else self.header


# A credential each, good or not.
CREDENTIALS: Mapping[str, Place] = {
    "jwt": Place(b"Authorization: Bearer " + JWT),
    "another-jwt": Place(PARTNERS),
    "bearer": Place(b"Authorization: Bearer " + TOKEN.encode()),
    "wrong-bearer": Place(b"Authorization: Bearer wrong"),
    "another-scheme": Place(b"Authorization: Basic YTpi"),
    "no-scheme": Place(b"Authorization: " + KEY),
    "key-as-bearer": Place(b"Authorization: Bearer " + KEY),
    "key": Place(b"X-Api-Key: " + KEY),
    "wrong-key": Place(b"x-api-KEY: wrong"),
    "empty-key": Place(b"X-Api-Key:"),
    "parameter": Place(query=b"api_key=" + KEY),
    "encoded-parameter": Place(query=b"%61pi%5Fkey=" + BARE),
    "encoded-value": Place(query=b"api_key=" + KEY.replace(b"_", b"%5F")),
    "bare-parameter": Place(query=b"api_key"),
    "parameter-amid-nothing": Place(query=b"&&api_key=&"),
    "behind-a-semicolon": Place(query=b"a=1;api_key=" + KEY),
    "before-a-semicolon": Place(query=b"api_key=" + BARE + b";a=1"),
    "cookie": Place(b"Cookie: tollgate_key=" + KEY),
    "quoted-cookie": Place(b'Cookie: a="b"; tollgate_key="' + BARE + b'"'),
    "spaced-cookie": Place(b"Cookie: a=b ;\ttollgate_key = " + KEY),
    "bare-cookie": Place(b"Cookie: tollgate_key"),
    "old-cookie": Place(b'Cookie: $Version=1; tollgate_key=x; $Path="/"'),
}
# None where a credential is looked for, or none by the name that it is looked for by.
LOOKALIKES: Mapping[str, Place] = {
    "plus": Place(query=b"+api_key=wrong"),
    "nul": Place(query=b"api_key%00=wrong"),
    "encoded-equals": Place(query=b"api_key%3Dwrong"),
    "question-mark": Place(query=b"?api_key=wrong"),
    "capitals": Place(query=b"API_KEY=wrong"),
    "list": Place(query=b"api_key[]=wrong"),
    "encoded-twice": Place(query=b"api%255Fkey=wrong"),
    "no-utf-8": Place(query=b"api_key%FF=wrong"),
    "cut-off": Place(query=b"api_key%5=wrong"),
    "cookie-in-capitals": Place(b"Cookie: Tollgate_Key=wrong"),
    "encoded-cookie": Place(b"Cookie: tollgate%5Fkey=wrong"),
    "cookie-behind-a-comma": Place(b"Cookie: a=b, tollgate_key=wrong"),
    "cookie-in-a-cookie": Place(b'Cookie: a="; tollgate_key2=wrong"'),
    "no-utf-8-cookie": Place(b"Cookie: a=\xc3\xa9"),
    "huge-cookie": Place(b"Cookie: a=" + 20_000 * b"b"),
    "proxy": Place(b"Proxy-Authorization: Bearer wrong"),
    "other-header": Place(b"X-Authorization: Bearer wrong"),
    "forwarded": Place(b"X-Forwarded-Authorization: Bearer wrong"),
    "protocol": Place(b"Sec-WebSocket-Protocol: bearer, wrong"),
    "identity": Place(b"X-Tollgate-Subject: root"),
    "consumer": Place(b"X-Tollgate-Consumer: acme"),
    "plan": Place(b"X-Tollgate-Plan: pro"),
    "profile": Place(b"X-Tollgate-Profile: -"),
}
PLACES = {**CREDENTIALS, **LOOKALIKES}
ROUTES = ("private", "scoped", "jwts", "bearers", "anyone", "public")


@dataclass(frozen=True)
class Told:
    """What a client is answered, and what an upstream is sent."""

    answers: tuple[tuple[int, str], ...]
    seen: tuple[object, ...]


def ask(besieged: Besieged, route: str, places: Iterable[Place]) -> Told:
    marker, private, public = uuid4().hex, len(besieged.private.requests), len(besieged.open.requests)
    query = b"&".join(place.query for place in places if place.query)
    path = f"/{route}/{marker}".encode() + (b"?" + query if query else b"")
    data = request(path, *(place.said for place in places if place.said))
    answers = tuple((answer.status, _code(answer.body)) for answer in answers_to(besieged.port, data))
    arrived = (*besieged.private.of(marker, private), *besieged.open.of(marker, public))
    return Told(answers, tuple(_seen(found, marker) for found in arrived))


def _code(body: bytes) -> str:
    return json.loads(body)["error"]["code"] if body.startswith(b"{") else ""


def _seen(found: Recorded, marker: str) -> object:
    headers = sorted((name.lower(), value) for name, value in found.headers if name.lower() not in OWN)
    return found.line.replace(marker.encode(), b"-"), tuple(headers)


def asked(besieged: Besieged, tries: Sequence[tuple[str, Sequence[str]]]) -> list[Told]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda it: ask(besieged, it[0], [PLACES[name] for name in it[1]]), tries))


def test_two_credentials_are_refused_in_every_pair_of_places(besieged: Besieged):
    pairs = [*combinations(CREDENTIALS, 2), *((name, name) for name in CREDENTIALS)]
    routes = ("private", "jwts", "anyone")
    tries = [(routes[number % len(routes)], pair) for number, pair in enumerate(pairs)]

    told = asked(besieged, tries)

    print(f"{len(tries)} pairs of credentials")
    passed = {pair: found for (_, pair), found in zip(tries, told, strict=True) if found.seen}
    assert passed == {}
    assert {found.answers for found in told} == {((400, "ambiguous_credentials"),)}


@pytest.mark.parametrize("good", ["jwt", "bearer", "key-as-bearer"])
def test_an_empty_authorization_is_none_beside_another(besieged: Besieged, good: str):
    """Envoy reads the two as one before anybody looks; beside a key in another place it is a second credential."""
    empty = Place(b"Authorization:")

    (told,) = {ask(besieged, "private", places) for places in ([empty, PLACES[good]], [PLACES[good], empty])}
    assert told.answers == ((200, ""),)
    assert b"authorization" not in repr(told.seen).encode()
    assert ask(besieged, "private", [empty, PLACES["key"]]).answers == ((400, "ambiguous_credentials"),)


def test_a_lookalike_changes_nothing(judged_by_service: Besieged, judged_by_envoy: Besieged):
    """One good credential beside it passes as it would alone, and without one there is none."""
    tries = [("private", (good, name)) for name in LOOKALIKES for good in ("jwt", "bearer", "key", "parameter")]
    alone = [("private", (name,)) for name in LOOKALIKES]

    for besieged in (judged_by_service, judged_by_envoy):
        assert {found.answers for found in asked(besieged, tries)} == {((200, ""),)}
        assert {found.answers for found in asked(besieged, alone)} == {((401, "missing_credential"),)}


def drawn() -> tuple[str, tuple[str, ...]]:
    """One random request: at most one credential more often than not."""
    names = [
        *random.sample([*CREDENTIALS], random.choice((0, 1, 1, 1, 1, 2))),
        *random.sample([*LOOKALIKES], random.randrange(4)),
    ]
    random.shuffle(names)
    return random.choice(ROUTES), tuple(names)


def test_who_judges_makes_no_difference(
    judged_by_service: Besieged, judged_by_envoy: Besieged, request: pytest.FixtureRequest
):
    tries = [drawn() for _ in range(max(TRIES, request.config.getoption("tries") // 10))]

    by_service, by_envoy = asked(judged_by_service, tries), asked(judged_by_envoy, tries)

    passed = sum(found.answers == ((200, ""),) for found in by_service)
    print(f"{len(tries)} requests to both judges, {passed} passed")
    assert 0 < passed < len(tries)
    differing = [(it, one, other) for it, one, other in zip(tries, by_service, by_envoy, strict=True) if one != other]
    assert differing == []
    for (route, names), found in zip(tries, by_service, strict=True):
        if route != "public" and len([name for name in names if name in CREDENTIALS]) > 1:
            assert found.seen == ()
        secrets = repr(found.seen).encode() if route != "public" else b""
        assert not [secret for secret in (KEY, BARE, JWT, TOKEN.encode()) if secret in secrets]
