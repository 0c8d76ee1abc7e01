"""Messages that two readers could understand differently: where a request begins, where it ends, and what it is.

Whatever Envoy makes of one, what is behind it is judged as a request of its own, and upstreams get it in one reading.
"""

import json

import pytest

from tests.security.attacks import SMUGGLED, Attack, Siege, attacked, bodied, http1
from tests.security.conftest import GOOD_KEY, TOKEN, Besieged, Front
from tests.security.test_gateway_attacks import ATTACKS
from tests.support.issuers import token
from tests.support.wire import answers_to, request

CREDENTIAL = f"Authorization: Bearer {TOKEN}".encode()
CHUNKED, FIVE, ENDED = b"Transfer-Encoding: chunked", b"Content-Length: 5", b"0\r\n\r\n"
# The body is read to its end, and the request behind it is one; or nothing behind it is read.
APART, REFUSED, UNKNOWN = (200, 401), (400,), (501,)
UPGRADE = (b"Connection: upgrade", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


def line(name: str, first: bytes, *statuses: int) -> Attack:
    return http1(name, first + b"\r\nHost: gateway\r\nConnection: close\r\n\r\n", *statuses)


def private(name: str, *headers: bytes, status: int, method: bytes = b"GET", body: bytes = b"") -> Attack:
    return http1(name, request("/private/x", *headers, method=method, body=body), status)


ENCODINGS = (
    *(
        bodied(f"a length beside {value!r}", b"Transfer-Encoding:" + value, FIVE, body=ENDED, statuses=REFUSED)
        for value in (
            b" Chunked", b"chunked\t", b" chunked;q=1", b' "chunked"', b" chunked, chunked", b" gzip, chunked",
            b" identity", b" chunked ,", b" ,chunked", b" \x00chunked", b" chunke\xc4\xb1d", b"",
        )
    ),
    *(
        bodied(f"the encoding {value!r}", b"Transfer-Encoding:" + value, body=ENDED, statuses=statuses)
        for value, statuses in (
            (b" Chunked", APART), (b"chunked\t", APART), (b" chunked;q=1", UNKNOWN), (b" chunked, chunked", UNKNOWN),
            (b" gzip, chunked", UNKNOWN), (b" ,chunked", UNKNOWN), (b" chunked,", UNKNOWN), (b"", UNKNOWN),
        )
    ),
    bodied("the same encoding twice", CHUNKED, CHUNKED, body=ENDED, statuses=UNKNOWN),
    bodied("an encoding with an underscore", b"Transfer_Encoding: chunked", FIVE, body=b"hello", statuses=REFUSED),
    bodied("a nominated encoding", CHUNKED, b"Connection: transfer-encoding", body=ENDED, statuses=APART),
)  # fmt: skip
LENGTHS = (
    *(
        bodied(f"the length {value!r}", b"Content-Length:" + value, body=b"hello", statuses=statuses)
        for value, statuses in (
            (b" 005", APART), (b"5", APART), (b" 05\t", APART), (b" 0x5", REFUSED), (b" 5_0", REFUSED),
            (b" 5.0", REFUSED), (b" 5e0", REFUSED), (b" 5;", REFUSED), (b" 5 5", REFUSED), (b" \xd9\xa5", REFUSED),
            (b"", REFUSED),
            (b" 5\x0b", REFUSED),
        )
    ),
    bodied("the same length twice", FIVE, FIVE, body=b"hello", statuses=REFUSED),
    bodied("a nominated length", FIVE, b"Connection: content-length", body=b"hello", statuses=APART),
    http1("a GET with a length", request("/public/x", FIVE, body=b"hello", close=False) + SMUGGLED, *APART),
    http1("a GET in chunks", request("/public/x", CHUNKED, body=ENDED, close=False) + SMUGGLED, *APART),
    http1("a body of no length", request("/public/x", body=SMUGGLED), 200),
)  # fmt: skip
CHUNKS = (
    *(
        bodied(f"a chunk of {size!r}", CHUNKED, body=size + b"\r\nhello\r\n" + ENDED, statuses=statuses)
        for size, statuses in (
            (b"5 ", APART), (b"5\t", APART), (b"05", APART), (b"0000000000000000005", APART), (b"5;a=b;c", APART),
            (b"5;\x00", APART), (b" 5", REFUSED), (b"0x5", REFUSED), (b"+5", REFUSED), (b"5_", REFUSED),
            (b"5\r", REFUSED), (b"", REFUSED), (b"g", REFUSED), (b"5,5", REFUSED),
        )
    ),
    bodied("a long extension", CHUNKED, body=b"5;" + 20_000 * b"a" + b"\r\nhello\r\n" + ENDED, statuses=APART),
    bodied("two last chunks", CHUNKED, body=2 * ENDED, statuses=(200, 400)),
    bodied("a last chunk with LF", CHUNKED, body=b"0\n\n", statuses=REFUSED),
    bodied("a length as a trailer", CHUNKED, body=b"0\r\nContent-Length: 99\r\n\r\n", statuses=APART),
    bodied("an encoding as a trailer", CHUNKED, body=b"0\r\nTransfer-Encoding: chunked\r\n\r\n", statuses=APART),
    bodied("a folded trailer", CHUNKED, body=b"0\r\nX: a\r\n b\r\n\r\n", statuses=APART),
    bodied("a trailer without a colon", CHUNKED, body=b"0\r\nX\r\n\r\n", statuses=REFUSED),
    bodied("a trailer of 70 KB", CHUNKED, body=b"0\r\nX: " + 70_000 * b"a" + b"\r\n\r\n", statuses=(431,)),
)  # fmt: skip
BEGINNINGS = (
    *(
        line(f"the line {first!r}", first, status)
        for first, status in (
            (b"GET /private/x HTTP/1.2", 426), (b"GET /private/x HTTP/2.0", 426), (b"GET /private/x HTTP/9.9", 426),
            (b"GET /private/x http/1.1", 400), (b"GET /private/x HTTP/1", 400), (b"GET  /private/x HTTP/1.1", 401),
            (b"GET\t/private/x\tHTTP/1.1", 401), (b"\r\n\r\nGET /private/x HTTP/1.1", 401),
            (b" GET /private/x HTTP/1.1", 400),
            (b"GET\x00 /private/x HTTP/1.1", 400), (1000 * b"A" + b" /private/x HTTP/1.1", 400),
            (b"GET /private/" + 70_000 * b"a" + b" HTTP/1.1", 431), (b"GET /private/" + 50_000 * b"a" + b" HTTP/1.1",
            401),
        )
    ),
    http1("HTTP/0.9", b"GET /private/x\r\n\r\n", 426),
    http1("half a preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /private/x HTTP/1.1\r\n\r\n", 0),
    http1("LF for CRLF", request("/private/x").replace(b"\r\n", b"\n"), 401),
    http1("a first header that is folded", b"GET /private/x HTTP/1.1\r\n Host: gateway\r\n\r\n", 400),
    *(
        private(f"the header {header!r}", CREDENTIAL, header, status=400)
        for header in (
            b"Nonsense", b": x", b"Autho rization: x", b"X\x00Y: x", b"X\xc3\xa9: x", b"X(Y): x", b"X: \x7f",
            b"X: \x07",
        )
    ),
)  # fmt: skip
BEHIND = (
    http1("no credential behind one", request("/private/first", CREDENTIAL, close=False) + SMUGGLED, *APART),
    http1("a credential of a public request", request("/public/first", CREDENTIAL, close=False) + SMUGGLED, *APART),
    http1("something behind the end", request("/public/x") + SMUGGLED, 200),
    private("a length and nothing more", b"Expect: 100-continue", FIVE, status=401, method=b"POST"),
    private("an expectation of something", b"Expect: 200-maybe", FIVE, status=401, method=b"POST", body=b"hello"),
    private("a body that was not waited for", b"Expect: 100-continue", b"Content-Length: %d" % len(SMUGGLED),
            status=401, method=b"POST", body=SMUGGLED),
    private("other upgrades", b"Upgrade: TLS/1.0, HTTP/2.0", b"Connection: upgrade", status=403),
    http1("two upgrades", request("/socket", CREDENTIAL, b"Upgrade: h2c, websocket", *UPGRADE), 403),
    bodied("an upgrade with a body", b"Upgrade: websocket", *UPGRADE, FIVE, body=b"hello", statuses=(401,),
           target="/socket"),
)  # fmt: skip
GRPC = (
    # The status of a gRPC call is in its headers, of HTTP it is 200.
    private("a gRPC call", b"Content-Type: application/grpc", b"TE: trailers", status=200, method=b"POST"),
    private("a gRPC call that is a GET", b"Content-Type: application/grpc", status=200),
    private("a gRPC call of a page", b"Content-Type: application/grpc-web+proto", status=401, method=b"POST"),
    private("a gRPC call that is no UTF-8", b"Content-Type: application/grpc;\xff", b"grpc-timeout: never", status=401,
            method=b"POST"),
    private("a gRPC call with an invalid name", b"Content-Type: application/grpc", b"grpc-\xff: x", status=400,
            method=b"POST"),
)  # fmt: skip
MESSAGES = (*ENCODINGS, *LENGTHS, *CHUNKS, *BEGINNINGS, *BEHIND, *GRPC)


@pytest.fixture(scope="module")
def siege(judged_by_service: Besieged) -> Siege:
    return attacked(judged_by_service, MESSAGES)


@pytest.mark.parametrize("attack", MESSAGES, ids=[attack.name[:60] for attack in MESSAGES])
def test_a_message_has_one_reading(siege: Siege, attack: Attack):
    assert siege.statuses(attack) == attack.statuses
    for answer in siege.answers[attack.name]:
        if answer.header("grpc-status") is not None:
            assert (answer.header("grpc-status"), answer.body) == ("16", b"")  # UNAUTHENTICATED


def test_nothing_is_smuggled(siege: Siege):
    assert {found.line for found in siege.private} == {b"GET /private/first HTTP/1.1"}
    assert not [found for found in (*siege.private, *siege.open) if b"smuggled" in found.line]
    for found in siege.open:
        assert len(found.values(b"content-length") + found.values(b"transfer-encoding")) <= 1
        assert found.body in (b"", b"hello")


def test_nothing_passes_while_nobody_answers(unasked: Front):
    """CVE-2024-23324, CVE-2023-27488: what makes the question fail makes no answer, whatever the request."""
    siege = attacked(unasked, (*ATTACKS, *MESSAGES))

    assert siege.private == []
    assert siege.open
    assert not [found for found in siege.open if b"smuggled" in found.line]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(lambda: f"Authorization: Bearer {TOKEN}", id="bearer"),
        pytest.param(lambda: f"Authorization: Bearer {token()}", id="jwt"),
        pytest.param(lambda: f"X-Api-Key: {GOOD_KEY.text}", id="api-key"),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/grpc"])
def test_nobody_who_could_answer_is_no_yes(unasked: Front, header, kind: str):
    data = request("/private/x", header().encode(), b"Content-Type: " + kind.encode(), method=b"POST")

    (answer,) = answers_to(unasked.port, data)

    if kind == "application/grpc":
        assert (answer.status, answer.header("grpc-status")) == (200, "14")  # UNAVAILABLE
    else:
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "authorization_unavailable")
    assert not [name for name, _ in answer.headers if "failure-mode" in name]
    assert unasked.private.requests == []
