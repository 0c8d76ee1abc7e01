"""TLS and mutual TLS with clients."""

import socket
import ssl

import httpx
import pytest

from tests.e2e.listeners.conftest import TOKEN, Front
from tests.support.certificates import Authority


@pytest.mark.parametrize("http2", [pytest.param(False, id="http/1.1"), pytest.param(True, id="h2")])
def test_the_protocol_is_agreed_in_the_handshake(front: Front, http2: bool):
    response = front.get("tls", "/public/x", http2=http2)

    assert (response.status_code, response.http_version) == (200, "HTTP/2" if http2 else "HTTP/1.1")
    row = front.gateway.logged(response.headers["x-request-id"])
    assert (row["listener"], row["protocol"]) == ("tls", "HTTP/2" if http2 else "HTTP/1.1")


def test_the_upstream_hears_of_https(front: Front):
    headers = dict(front.get("tls", "/public/x", headers={"x-forwarded-proto": "http"}).json()["headers"])

    assert headers["x-forwarded-proto"] == "https"


def test_credentials_are_asked_for(front: Front):
    assert front.get("tls", "/private/x").status_code == 401
    assert front.get("tls", "/private/x", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_clear_text_is_no_handshake(front: Front):
    with pytest.raises(httpx.RemoteProtocolError), httpx.Client(trust_env=False) as client:
        client.get(front.url("tls", "http"))


def handshake(front: Front, listener: str, context: ssl.SSLContext) -> str | None:
    with (
        socket.create_connection(("127.0.0.1", front.ports[listener]), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        return sock.version()


@pytest.mark.parametrize(
    ("listener", "version", "expected"),
    [
        pytest.param("tls", ssl.TLSVersion.TLSv1_3, "TLSv1.3", id="1.3"),
        pytest.param("tls", ssl.TLSVersion.TLSv1_2, "TLSv1.2", id="1.2"),
        pytest.param("tls", ssl.TLSVersion.TLSv1_1, None, id="1.1"),
        pytest.param("modern", ssl.TLSVersion.TLSv1_3, "TLSv1.3", id="1.3-where-nothing-older-is-spoken"),
        pytest.param("modern", ssl.TLSVersion.TLSv1_2, None, id="1.2-where-it-is-too-old"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_versions(front: Front, listener: str, version: ssl.TLSVersion, expected: str | None):
    context = front.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL would not even offer what is old
    context.minimum_version = context.maximum_version = version
    if expected is None:
        with pytest.raises(ssl.SSLError):
            handshake(front, listener, context)
    else:
        assert handshake(front, listener, context) == expected


@pytest.mark.parametrize(
    "ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "AES256-SHA", "ECDHE-ECDSA-AES256-SHA384"]
)
def test_ciphers_without_forward_secrecy_or_authentication_are_not_spoken(front: Front, ciphers: str):
    context = front.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")

    with pytest.raises(ssl.SSLError):
        handshake(front, "tls", context)


def test_a_known_client_is_let_in(front: Front):
    known = front.certificate_of(front.clients, "known")

    assert front.get("modern", "/public/x", certificate=known).status_code == 200
    assert front.get("asking", "/public/x", certificate=known).status_code == 200


@pytest.mark.parametrize("listener", ["modern", "asking"])
def test_a_foreign_certificate_is_refused_in_the_handshake(front: Front, listener: str):
    foreign = front.certificate_of(Authority("authority of clients"), f"foreign-{listener}")

    with pytest.raises((httpx.ConnectError, httpx.ReadError), match=r"(?i)alert"):
        front.get(listener, "/public/x", certificate=foreign)


def test_a_client_without_a_certificate(front: Front):
    assert front.get("asking", "/public/x").status_code == 200
    with pytest.raises(httpx.ReadError, match="CERTIFICATE_REQUIRED"):
        front.get("modern", "/public/x")


def test_nobody_claims_a_certificate_in_a_header(front: Front):
    claimed = {"x-forwarded-client-cert": "Hash=00;Subject=admin"}
    known = front.certificate_of(front.clients, "claiming")

    for certificate in (None, known):
        headers = dict(front.get("asking", "/public/x", certificate=certificate, headers=claimed).json()["headers"])
        assert "x-forwarded-client-cert" not in headers
