"""Random tokens, rightly signed more often than not: whoever judges them, the answer is the same, and only those pass
that a strict reading of their claims lets pass.

What Envoy reads more freely (docs/native.md) is not among them: JSON that is none, and lists that hold objects.
"""

import json
import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.security.conftest import Besieged
from tests.support.issuers import ACCOUNTS, AUDIENCE, signed
from tests.support.wire import answers_to, request

TRIES = 500
WORKERS = 8
OWN = frozenset({b"x-request-id", b"x-tollgate-consumer", b"x-tollgate-decision-id"})
ROUTES = ("jwts", "private", "scoped", "anyone", "bearers")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**12, 10**15, 2**63, 1e300, "", "-", " ", "x", "é", "a\nb", "\u0000", "a,b", "%41",
    "\U0001f600", [], [""], ["x"], {}, {"x": 1}, 300 * "a", "email.send", ["email.send"], "a email.send", AUDIENCE,
    [AUDIENCE], [AUDIENCE, "x"], "https://gateway/", "gateway ", ACCOUNTS, "pro", "acme", "RS256", "none", "k1", "JWT",
)  # fmt: skip
CLAIMS = ("iss", "aud", "sub", "exp", "nbf", "iat", "scope", "roles", "org", "plan", "x", "jti", "")
HEADERS = ("alg", "kid", "typ", "crit", "b64", "jwk", "jku", "cty", "zip", "")


def good() -> tuple[dict[str, Any], dict[str, Any]]:
    now = int(time.time())
    header = {"alg": "RS256", "kid": "k1"}
    return header, {
        "iss": ACCOUNTS,
        "aud": AUDIENCE,
        "sub": "ada",
        "iat": now - 10,
        "exp": now + 600,
        "scope": "email.send",
    }


def drawn() -> str:
    header, claims = good()
    for _ in range(random.choice((0, 0, 1))):
        header[random.choice(HEADERS)] = random.choice(ODD)
    for _ in range(random.choice((0, 1, 1, 2))):
        claims[random.choice(CLAIMS)] = random.choice(ODD)
    if random.random() < 0.1:
        header = {
            "alg": random.choice(("RS256", "ES256", "RS384", "PS256")),
            "kid": random.choice(("k1", "k2", "e1", "p1")),
        }
    for part in (header, claims):
        for name in random.sample([*part], random.choice((0, 0, 0, 0, 1))):
            del part[name]
    return spoilt(signed(header, written(claims), random.choice(("k1", "k1", "k1", "k1", "k2", "foreign"))))


def written(claims: Mapping[str, Any]) -> str:
    """As JSON, now and then with a name twice, the second one perhaps in another spelling."""
    text = json.dumps(claims, ensure_ascii=random.random() < 0.5)
    if claims and random.random() < 0.1:
        name = random.choice([*claims])
        spelling = "".join(f"\\u{ord(letter):04x}" for letter in name) if random.random() < 0.5 else name
        return f'{text[:-1]},"{spelling}":{json.dumps(random.choice(ODD))}}}'
    return text


def spoilt(token: str) -> str:
    """The token, now and then with a character of it changed."""
    if random.random() < 0.9:
        return token
    at = random.randrange(len(token))
    return token[:at] + random.choice("AZaz09-_.=+/") + token[at + 1 :]


def ask(besieged: Besieged, route: str, token: str) -> object:
    """What is answered, and what the upstream is sent."""
    marker, before = uuid4().hex, len(besieged.private.requests)
    answers = answers_to(besieged.port, request(f"/{route}/{marker}", f"Authorization: Bearer {token}".encode()))
    codes = [json.loads(answer.body)["error"] for answer in answers if answer.body.startswith(b"{")]
    seen = [
        sorted((name.lower(), value) for name, value in found.headers if name.lower() not in OWN)
        for found in besieged.private.of(marker, before)
    ]
    told = [(answer.status, answer.header("www-authenticate")) for answer in answers]
    return told, [(code["code"], code["message"]) for code in codes], seen


def test_who_judges_makes_no_difference(
    judged_by_service: Besieged, judged_by_envoy: Besieged, pytestconfig: pytest.Config
):
    tries = [(random.choice(ROUTES), drawn()) for _ in range(max(TRIES, pytestconfig.getoption("tries") // 10))]

    with ThreadPoolExecutor(WORKERS) as pool:
        by_service = list(pool.map(lambda it: ask(judged_by_service, *it), tries))
        by_envoy = list(pool.map(lambda it: ask(judged_by_envoy, *it), tries))

    passed = [it for it, (told, _, _) in zip(tries, by_service, strict=True) if told == [(200, None)]]
    print(f"{len(tries)} random tokens to both judges, {len(passed)} passed")
    assert 0 < len(passed) < len(tries)
    differing = [(it, one, other) for it, one, other in zip(tries, by_service, by_envoy, strict=True) if one != other]
    assert differing == []
    rows = [
        row for row in judged_by_envoy.gateway.access_log() if row["status"] == 200 and row["upstream"] == "private"
    ]
    assert [row for row in rows if row["decision"] is None], "Envoy judged none of them"
