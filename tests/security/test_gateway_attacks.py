"""Requests that no client library would send, through the real Envoy, and what became of them on both sides."""

import json
import time
from uuid import uuid4

import jwt
import pytest

from tests.security.attacks import SMUGGLED, Attack, Siege, attacked, bodied, h2, http1, plain
from tests.security.conftest import ISSUER, SECRET, TOKEN, Besieged
from tests.support.recorder import Recorded
from tests.support.wire import answers_to, http2, request

CREDENTIAL = f"Authorization: Bearer {TOKEN}".encode()
UPGRADE = (b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


BEARER = ("authorization", f"Bearer {TOKEN}")
CREDENTIALS = (
    plain("no credential", "/private/x"),
    plain("two credentials", "/private/x", CREDENTIAL, b"Authorization: Bearer other", status=400),
    plain("the same credential twice", "/private/x", CREDENTIAL, CREDENTIAL, status=400),
    plain("two credentials in one header", "/private/x", CREDENTIAL + b", Bearer other", status=400),
    plain("a credential that is not utf-8", "/private/x", b"Authorization: Bearer \xff\xfe"),
    plain("a credential with a NUL", "/private/x", CREDENTIAL + b"\x00", status=400),
    plain("a credential with a space before the colon", "/private/x", CREDENTIAL.replace(b":", b" :"), status=400),
    plain("a credential in a folded line", "/private/x", b"X-Folded: a\r\n " + CREDENTIAL),
    plain("an underscore for a hyphen", "/private/x", CREDENTIAL, b"X_Tollgate_Subject: root", status=400),
    plain("a token in the query", f"/private/x?access_token={TOKEN}"),
    plain("a token in a cookie", "/private/x", f"Cookie: authorization=Bearer {TOKEN}".encode()),
    plain("a token for a proxy", "/private/x", b"Proxy-" + CREDENTIAL),
    plain("a nominated credential", "/private/x", CREDENTIAL, b"Connection: authorization"),
    plain("a bearer token where a JWT is asked for", "/jwts/x", CREDENTIAL),
    plain("two dots make a JWT", "/bearers/x", b"Authorization: Bearer a.b.c"),
    plain("another scheme", "/private/x", b"Authorization: Basic b3BzOm9wcw=="),
    plain("a very long token", "/private/x", b"Authorization: Bearer " + b"a" * 9000),
    h2("h2: two credentials", "/private/x", BEARER, ("authorization", "Bearer other"), status=400),
    h2("h2: a header name in capitals", "/private/x", ("Authorization", f"Bearer {TOKEN}")),
)
PATHS = (
    *(
        plain(f"path {path}", path)
        for path in (
            "/private", "/private?", "//private/x", "/private//x", "///private/x", "/./private/x", "/private/.",
            "/../private/x", "/../../private/x", "/public/../private/x", "/public/a/../../private/x",
            "/%2e%2e/private/x", "/public/%2e%2e/private/x", "/public/.%2e/private/x", "/%70rivate/x", "/pri%76ate/x",
            "/public\\..\\private\\x", "/public/..\\private/x", "/private?/../public", "/health/../private/x",
            "/public/..;/private/x", "/public/admin", "/public//admin/x", "/public/./admin/x", "/public/adm%69n/x",
            "/public/x/../admin/x", "/exact?", "/%65xact", "/exac%74",
        )
    ),
    *(
        plain(f"path {path!r}", path, status=400)
        for path in (
            b"/private%2fx", b"/public%2f..%2fprivate/x", b"/public/%2E%2e%2Fprivate/x", b"/public/%5c../private/x",
            b"/private%00", b"/public/x%00/../private", b"/private#x", b"/#/private/x", b"/private/x y", b"private/x",
            b"\\private\\x", b"/private/\xe9", b"/private/\x7f", b"/private/\x01", b"http:/private/x", b"*",
        )
    ),
    h2("h2: a path without a slash", "private/x"),
    h2("h2: no path", ""),
    h2("h2: an absolute path", "http://gateway/private/x"),
    h2("h2: a request in the path", "/public/x HTTP/1.1\r\nhost: a\r\n\r\nGET /private/smuggled"),
    h2("h2: a NUL in the path", "/public/\x00"),
    h2("h2: a fragment", "/private#x", status=400),
    h2("h2: dots", "/public/../private/x", status=401),
)  # fmt: skip
HOSTS = (
    *(
        plain(f"host {host!r}", "/x", b"Host: " + host)
        for host in (b"admin.example.com", b"ADMIN.example.com", b"admin.example.com.", b"admin.example.com:80",
                     b"admin.example.com.:80", b"admin.example.com:", b"admin.example.com\t")
    ),
    *(
        plain(f"host {host!r}", "/x", b"Host: " + host, status=400)
        for host in (b"admin.example.com/", b"admin.example.com#", b"admin.example.com\\", b"\xc4\xb0.example.com")
    ),
    *(
        plain(f"host {host!r}", "/x", b"Host: " + host)
        for host in (b"x.inside.example.com", b"X.Inside.Example.COM.", b"a.b.inside.example.com:80")
    ),
    *(
        plain(f"host {host!r}", "/x", b"Host: " + host, status=200)
        for host in (b"inside.example.com", b"evilinside.example.com", b"x.inside.example.com.evil.example",
                     b"xn--inside-9za.example.com", b"nobody.example")
    ),
    plain("a target of another host", "http://admin.example.com/x", b"Host: gateway"),
    plain("a target in capitals", "HTTP://ADMIN.EXAMPLE.COM/x", b"Host: gateway"),
    plain("a target with a user", "http://gateway@admin.example.com/x"),
    plain("a target with dots", "http://gateway/%2e/private/x"),
    plain("a target of another scheme", "https://admin.example.com/x", status=403),
    plain("a target that is a file", "file:///private/x", status=400),
    plain("no host", "/private/x", b"Connection: host", status=400),
    h2("h2: an authority beside a host", "/x", ("host", "gateway"),
       pseudo={":authority": "admin.example.com"}, status=401),
    h2("h2: an authority with a user", "/x", pseudo={":authority": "gateway@admin.example.com"}),
    h2("h2: an authority in capitals", "/x", pseudo={":authority": "ADMIN.EXAMPLE.COM"}, status=401),
    h2("h2: an authority with a dot", "/x", pseudo={":authority": "admin.example.com."}, status=401),
)  # fmt: skip
METHODS = (
    plain("HEAD", "/private/x", method=b"HEAD"),
    plain("OPTIONS", "/private/x", b"Origin: http://x", b"Access-Control-Request-Method: GET", method=b"OPTIONS"),
    plain("TRACE", "/private/x", method=b"TRACE", status=404),
    plain("a method of no standard", "/private/x", method=b"FOO", status=400),
    plain("a method in small letters", "/posts/x", method=b"post", status=400),
    plain("CONNECT", "private:80", method=b"CONNECT", status=403),
    plain("CONNECT to a path", "/private/x", method=b"CONNECT", status=400),
    plain("OPTIONS of everything", "*", method=b"OPTIONS", status=404),
    plain("an upgrade without a credential", "/socket", *UPGRADE, b"Connection: upgrade"),
    plain("an upgrade on a route without", "/private/x", CREDENTIAL, *UPGRADE, b"Connection: upgrade", status=403),
    plain("h2c", "/private/x", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
          b"Connection: upgrade, http2-settings"),
    http1("HTTP/1.0", b"GET /private/x HTTP/1.0\r\nHost: gateway\r\n\r\n", 426),
    plain("70 KB of headers", "/private/x", CREDENTIAL, b"X-Big: " + b"a" * 70_000, status=431),
    plain("200 headers", "/private/x", CREDENTIAL, *(b"X-%d: a" % number for number in range(200)), status=431),
    h2("h2: CONNECT of RFC 8441", "/private/x", pseudo={":method": "CONNECT", ":protocol": "bytestream"}),
    h2("h2: a method in small letters", "/posts/x", pseudo={":method": "post"}, status=404),
    h2("h2: a method in mixed letters", "/posts/x", pseudo={":method": "Post"}, status=404),
    h2("h2: a method with a line break", "/posts/x", pseudo={":method": "GET / HTTP/1.1\r\n"}),
    h2("h2: a header of the connection", "/public/x", ("connection", "close")),
    h2("h2: an upgrade", "/public/x", ("upgrade", "websocket")),
    h2("h2: an unknown pseudo-header", "/public/x", (":subject", "root")),
    h2("h2: a line break in a value", "/public/x", ("x-foo", "a\r\nx-tollgate-subject: root")),
    h2("h2: a line break in a name", "/public/x", ("x-foo: a\r\nx-tollgate-subject", "root")),
    h2("h2: a space behind a name", "/public/x", ("x-tollgate-subject ", "root")),
    h2("h2: an underscore in a name", "/public/x", ("x_tollgate_subject", "root")),
)  # fmt: skip
CHUNKED = b"Transfer-Encoding: chunked"
ENDED = b"0\r\n\r\n"
FRAMING = (
    bodied("length and chunks", b"Content-Length: 5", CHUNKED, body=ENDED, statuses=(400,)),
    bodied("chunks and length", CHUNKED, b"Content-Length: 5", body=ENDED, statuses=(400,)),
    bodied("two lengths", b"Content-Length: 5", b"Content-Length: 0", body=b"hello", statuses=(400,)),
    bodied("a list of lengths", b"Content-Length: 5, 5", body=b"hello", statuses=(400,)),
    bodied("a signed length", b"Content-Length: +5", body=b"hello", statuses=(400,)),
    bodied("a length below zero", b"Content-Length: -1", body=b"hello", statuses=(400,)),
    bodied("a length beyond numbers", b"Content-Length: 99999999999999999999", body=b"hello", statuses=(400,)),
    bodied("no encoding that exists", b"Transfer-Encoding: xchunked", body=ENDED, statuses=(501,)),
    bodied("chunked, but not last", b"Transfer-Encoding: chunked, identity", body=ENDED, statuses=(501,)),
    bodied("two encodings", CHUNKED, b"Transfer-Encoding: identity", body=ENDED, statuses=(501,)),
    bodied("a vertical tab", b"Transfer-Encoding: \x0bchunked", body=ENDED, statuses=(400,)),
    bodied("a space before the colon", b"Transfer-Encoding : chunked", b"Content-Length: 5", body=ENDED,
           statuses=(400,)),
    bodied("a folded encoding", b"Transfer-Encoding:\r\n chunked", b"Content-Length: 5", body=ENDED, statuses=(400,)),
    bodied("chunks that are chunks", CHUNKED, body=ENDED, statuses=(200, 401)),
    bodied("chunks with an extension", CHUNKED, body=b"5;a=b\r\nhello\r\n0\r\n\r\n", statuses=(200, 401)),
    bodied("an extension that ends in LF", CHUNKED, body=b"5;a\nhello\r\n0\r\n\r\n", statuses=(400,)),
    bodied("chunks that end in LF", CHUNKED, body=b"5\nhello\n0\n\n", statuses=(400,)),
    bodied("a chunk below zero", CHUNKED, body=b"-5\r\nhello\r\n0\r\n\r\n", statuses=(400,)),
    bodied("a chunk beyond numbers", CHUNKED, body=b"10000000000000005\r\nhello\r\n0\r\n\r\n", statuses=(400,)),
    bodied("a chunk longer than it says", CHUNKED, body=b"5\r\nhelloXX0\r\n\r\n", statuses=(400,)),
    http1("a request as a body", request("/public/x", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), 200),
    http1("a body that is refused", request("/private/x", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), 401),
    http1("a body above the limit", request("/public/x", b"Content-Length: 99999999", b"Expect: 100-continue",
                                            method=b"POST", body=SMUGGLED), 413),
    h2("h2: chunks", "/public/x", ("transfer-encoding", "chunked"), pseudo={":method": "POST"}, body=SMUGGLED),
    h2("h2: two lengths", "/public/x", ("content-length", "5"), ("content-length", "6"), body=b"hello"),
    h2("h2: a pseudo-header as a trailer", "/public/x", body=b"hello", trailers=[(":path", "/private/x")]),
)  # fmt: skip
ATTACKS = (*CREDENTIALS, *PATHS, *HOSTS, *METHODS, *FRAMING)


@pytest.fixture(scope="module")
def siege(besieged: Besieged) -> Siege:
    return attacked(besieged, ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_an_attack_is_refused(siege: Siege, attack: Attack):
    assert siege.statuses(attack) == attack.statuses
    for answer in siege.answers[attack.name]:
        assert answer.status < 400 or not answer.body or json.loads(answer.body)["error"]["code"]


def test_no_attack_reaches_the_private_upstream(siege: Siege):
    assert len(siege.answers) == len(ATTACKS)
    assert siege.private == []
    assert siege.open
    assert not [found for found in siege.open if b"smuggled" in found.line]


def arrived(besieged: Besieged, *headers: bytes, body: bytes = b"") -> Recorded:
    """The one request that reached the private upstream, as it arrived there."""
    marker = uuid4().hex
    data = request(f"/private/x?{marker}", CREDENTIAL, *headers, method=b"POST" if body else b"GET", body=body)
    assert [answer.status for answer in answers_to(besieged.gateway.port, data)] == [200]
    (found,) = besieged.private.of(marker)
    return found


def identity(found: Recorded) -> dict[bytes, bytes]:
    pairs = [pair for pair in found.headers if pair[0].lower().startswith(b"x-tollgate-")]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


OURS = {
    b"x-tollgate-subject": b"ops",
    b"x-tollgate-tenant": b"acme",
    b"x-tollgate-consumer": b"ops",
    b"x-tollgate-plan": b"-",
    b"x-tollgate-key-id": b"ops",
}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([b"X-Tollgate-Subject: root", b"x-tollgate-KEY-ID: root"], id="any-case"),
        pytest.param([b"Connection: x-tollgate-subject, x-tollgate-profile"], id="nominated"),
        pytest.param([b"Connection: x-tollgate-tenant", b"X-Tollgate-Tenant: root"], id="nominated-and-spoofed"),
        pytest.param([b"X-Foo: a\rX-Tollgate-Subject: root"], id="bare-cr"),
        pytest.param([b"X-Foo: a\nX-Tollgate-Subject: root"], id="bare-lf"),
        pytest.param([b"X-Foo: a\r\n X-Tollgate-Subject: root"], id="folded"),
        pytest.param([b"X-Envoy-Original-Path: /public", b"X-Envoy-Internal: true"], id="words-of-envoy"),
    ],
)
def test_identity_is_ours_alone(besieged: Besieged, headers):
    found = arrived(besieged, *headers)

    assert identity(found) == OURS
    assert not found.values(b"authorization")
    assert not found.values(b"x-envoy-original-path")


def test_a_trailer_is_no_identity(besieged: Besieged):
    body = b"5\r\nhello\r\n0\r\nX-Tollgate-Subject: root\r\nAuthorization: Bearer other\r\n\r\n"

    found = arrived(besieged, CHUNKED, b"Trailer: x-tollgate-subject", body=body)

    assert (identity(found), found.body) == (OURS, b"hello")


def test_an_http2_trailer_is_no_identity(besieged: Besieged):
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "gateway"), (":path", "/private/h2"), BEARER]

    answer = http2(besieged.gateway.port, fields, b"hello", [("x-tollgate-subject", "root")])

    (found,) = besieged.private.of("/private/h2")
    assert (answer.status, identity(found)) == (200, OURS)


def test_an_upgrade_that_the_upstream_declines_tunnels_nothing(besieged: Besieged):
    data = request("/socket?declined", CREDENTIAL, *UPGRADE, b"Connection: upgrade", close=False)

    answers_to(besieged.gateway.port, data + SMUGGLED, silence=0.5)

    assert len(besieged.private.of("declined")) == 1


def test_a_client_does_not_choose_its_address(besieged: Besieged):
    """However it calls itself, its second call is one too many."""
    names = (b"X-Forwarded-For: 192.0.2.%d", b"X-Real-IP: 192.0.2.%d", b"Forwarded: for=192.0.2.%d",
             b"X-Envoy-External-Address: 192.0.2.%d", b"True-Client-IP: 192.0.2.%d")  # fmt: skip
    headers = [name % number for number, name in enumerate(names)]

    statuses = [answers_to(besieged.gateway.port, request("/per-address", header))[0].status for header in headers]

    assert statuses == [200, 429, 429, 429, 429]


def test_subjects_that_look_alike_are_counted_apart(besieged: Besieged):
    subjects = [
        "a b",
        "a%20b",
        "a%2520b",
        "a+b",
        "aé",
        "a%C3%A9",
        "{a}",
        "subject=a",
        "a\nb",
        "a\r\nx-tollgate-plan: b",
    ]

    statuses = [
        [answers_to(besieged.gateway.port, request("/per-subject", token_of(name)))[0].status for _ in range(2)]
        for name in subjects
    ]

    assert statuses == [[200, 429]] * len(subjects)


def token_of(subject: str) -> bytes:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "gateway", "sub": subject, "iat": now, "exp": now + 60}
    return f"Authorization: Bearer {jwt.encode(claims, SECRET, 'HS256')}".encode()


def test_a_jwt_is_no_bearer_token(besieged: Besieged):
    (answer,) = answers_to(besieged.gateway.port, request("/bearers/x", token_of("ada")))

    assert answer.status == 401
    assert json.loads(answer.body)["error"]["code"] == "credential_not_accepted"


def test_a_denied_grpc_call_hears_it_in_its_own_words(besieged: Besieged):
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "gateway"), (":path", "/private/pkg.Service/Do"),
              ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip

    answer = http2(besieged.gateway.port, fields, b"\0\0\0\0\0")

    assert (answer.status, answer.header("grpc-status")) == (200, "16")  # UNAUTHENTICATED
