"""API keys against requests that no client library would send: what opens, what is refused, and what upstreams see.

Lines 25 to 30 of the hardening list; the unit tests of the authorizer have the same without a gateway, and each refusal
by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_256
from uuid import uuid4

import pytest

from service_kit.api_keys import Key, key_hash, new_key, written_hash
from tests.support.gateway import Gateway, running_gateway
from tests.support.recorder import Recorder, running_recorder
from tests.support.wire import answers_to, http2, request

PEPPER = "a pepper of thirty-two bytes, or more"


def made(seed: bytes) -> Key:
    return new_key(lambda size: shake_256(seed).digest(4 * size)[:size])


GOOD, OTHER = made(b"good"), made(b"other")
TEXT = GOOD.text.encode()
HEADER, COOKIE = b"X-Api-Key: " + TEXT, b"Cookie: tollgate_key=" + TEXT
BEARER = b"Authorization: Bearer " + TEXT


@dataclass(frozen=True)
class Guarded:
    gateway: Gateway
    upstream: Recorder


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    keys = [{"id": key.id, "hash": written_hash(key_hash(PEPPER.encode(), key.text.encode()))} for key in (GOOD, OTHER)]
    with running_recorder() as upstream, running_gateway(
        {
            "identity": {"api_keys": {"query": "api_key", "cookie": "tollgate_key", "pepper": PEPPER}},
            "consumers": [{"name": "acme", "keys": keys}],
            "upstreams": {"private": {"url": upstream.url}},
            "routes": [
                {"name": "private", "match": {"path": "/private/*"}, "upstream": "private", "auth": ["api_key"]},
                {"name": "open", "match": {"path": "/open"}, "upstream": "private", "auth": ["api_key", "anonymous"]},
            ],
        }
    ) as gateway:  # fmt: skip
        yield Guarded(gateway, upstream)


MIXED = TEXT[:17] + OTHER.text.encode()[17:]
ATTACKS = {
    "no key": ([], "", 401),
    "a key in another header": ([b"X-Apikey: " + TEXT], "", 401),
    "an alias by underscores": ([b"X_Api_Key: " + TEXT], "", 400),
    "a key for a proxy": ([b"Proxy-Authorization: Bearer " + TEXT], "", 401),
    "another scheme": ([b"Authorization: Basic " + TEXT], "", 401),
    "no scheme": ([b"Authorization: " + TEXT], "", 401),
    "the id alone": ([b"X-Api-Key: " + TEXT[:16]], "", 401),
    "the id of one, the secret of another": ([b"X-Api-Key: " + MIXED], "", 401),
    "in capitals": ([b"X-Api-Key: " + TEXT.upper()], "", 401),
    "with a byte behind": ([HEADER + b"\xff"], "", 401),
    "with a NUL behind": ([HEADER + b"\x00"], "", 400),
    "with a tab inside": ([b"X-Api-Key: " + TEXT[:20] + b"\t" + TEXT[20:]], "", 401),
    "as a scheme": ([b"X-Api-Key: Bearer " + TEXT], "", 401),
    "very long": ([b"X-Api-Key: tgk_" + b"a" * 9000], "", 401),
    "twice": ([HEADER, HEADER], "", 400),
    "joined": ([HEADER + b"," + TEXT], "", 400),
    "joined with nothing": ([HEADER + b","], "", 400),
    "in two headers": ([HEADER, BEARER], "", 400),
    "in a header and the query": ([HEADER], f"?api_key={GOOD.text}", 400),
    "in a header and a cookie": ([HEADER, COOKIE], "", 400),
    "in two cookies": ([COOKIE, COOKIE], "", 400),
    "in the query twice": ([], f"?api_key={GOOD.text}&api_key={GOOD.text}", 400),
    "in the query in two spellings": ([], f"?api_key={GOOD.text}&%61pi_key=x", 400),
    "behind a semicolon": ([], f"?a=1;api_key={GOOD.text}", 400),
    "before a semicolon": ([], f"?api_key={GOOD.text};a=1", 400),
    "in a fragment": ([], f"#api_key={made(b'path').text}", 400),
    "behind an escaped question mark": ([], f"%3Fapi_key={made(b'path').text}", 401),
    "in a parameter in capitals": ([], f"?API_KEY={GOOD.text}", 401),
    "in a list of a parameter": ([], f"?api_key[]={GOOD.text}", 401),
    "in a cookie in capitals": ([b"Cookie: Tollgate_Key=" + TEXT], "", 401),
    "nominated by a connection": ([HEADER, b"Connection: x-api-key"], "", 401),
    "an identity beside": ([b"X-Tollgate-Key-Id: " + GOOD.id.encode()], "", 401),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_but_one_key_in_its_place_opens(guarded: Guarded, name: str):
    headers, query, status = ATTACKS[name]
    marker = uuid4().hex
    answers = answers_to(guarded.gateway.port, request(f"/private/{marker}{query}", *headers))

    assert [answer.status for answer in answers] == [status]
    assert guarded.upstream.of(marker) == []


@pytest.mark.parametrize("name", [name for name, (headers, query, _) in ATTACKS.items() if headers or query])
def test_what_opens_nothing_is_no_way_to_be_nobody(guarded: Guarded, name: str):
    """Where a caller may be nobody, what stands in a place of credentials is judged all the same."""
    headers, query, status = ATTACKS[name]
    (answer,) = answers_to(guarded.gateway.port, request(f"/open{query}", *headers))

    places = (b"X-Api-Key:", b"Authorization:", b"Cookie: tollgate_key=")
    presented = any(header.startswith(places) for header in headers)
    taken = status == 401 and (not presented or b"Connection: x-api-key" in headers)
    assert answer.status == ((404 if query.startswith("%") else 200) if taken else status)


@pytest.mark.parametrize(
    ("query", "headers", "left"),
    [
        pytest.param("", [HEADER], b"", id="a header"),
        pytest.param("", [BEARER], b"", id="authorization"),
        pytest.param("", [COOKIE + b"; b=\xc3\xa9"], b"", id="a cookie"),
        pytest.param(f"?api_key={GOOD.text}", [], b"", id="the query alone"),
        pytest.param(f"?x=%2F&api%5fkey={GOOD.text}&x=%2f&y", [], b"?x=%2F&x=%2f&y", id="the query among others"),
    ],
)
def test_of_what_opens_the_upstream_sees_nothing(guarded: Guarded, query: str, headers: list[bytes], left: bytes):
    marker = uuid4().hex
    (answer,) = answers_to(guarded.gateway.port, request(f"/private/{marker}{query}", *headers))
    (seen,) = guarded.upstream.of(marker)

    assert answer.status == 200
    assert seen.line == b"GET /private/" + marker.encode() + left + b" HTTP/1.1"
    assert TEXT not in repr(seen).encode()
    assert seen.values(b"cookie") == ([b"b=\xc3\xa9"] if headers and headers[0].startswith(b"Cookie") else [])
    assert seen.values(b"x-tollgate-key-id") == [GOOD.id.encode()]


def test_the_crumbs_of_cookies_are_one_header(guarded: Guarded):
    """RFC 9113, 8.2.3: over HTTP/2 each pair may come by itself."""
    marker = uuid4().hex
    fields = [
        (":method", "GET"), (":scheme", "http"), (":authority", "gateway"), (":path", f"/private/{marker}"),
        ("cookie", "a=1"), ("cookie", f"tollgate_key={GOOD.text}"), ("cookie", "b=2"),
    ]  # fmt: skip
    answer = http2(guarded.gateway.port, fields, b"", ())
    (seen,) = guarded.upstream.of(marker)

    assert (answer.status, seen.values(b"cookie")) == (200, [b"a=1; b=2"])


def test_no_log_holds_a_key(guarded: Guarded):
    for place in ("x-api-key", "authorization"):
        value = TEXT if place == "x-api-key" else b"Bearer " + TEXT
        answers_to(guarded.gateway.port, request(f"/private/x?api_key={OTHER.text}", place.encode() + b": " + value))

    logs = [path.read_text() for path in (guarded.gateway.folder / "state" / "logs").iterdir()]
    assert logs
    rows = [row for log in logs for row in log.splitlines()]
    assert [row for row in rows if GOOD.text in row or OTHER.text in row] == []
