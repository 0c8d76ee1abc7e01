"""A listener in clear text that sends everybody to https."""

import httpx
import pytest

from tests.e2e.listeners.conftest import TOKEN, Front


def ask(front: Front, listener: str, path: str, host: str, method: str = "GET") -> httpx.Response:
    headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
    with httpx.Client(trust_env=False) as client:
        return client.request(method, f"{front.url(listener, 'http')}{path}", headers=headers)


@pytest.mark.parametrize(
    ("listener", "host", "expected"),
    [
        pytest.param("redirect", "example.com", "https://example.com:PORT", id="port"),
        pytest.param("redirect", "example.com:8080", "https://example.com:PORT", id="instead-of-its-own"),
        pytest.param("redirect", "[2001:db8::1]:8080", "https://[2001:db8::1]:PORT", id="ipv6"),
        pytest.param("standard", "example.com", "https://example.com", id="443"),
        pytest.param("standard", "example.com:80", "https://example.com", id="443-instead-of-80"),
        pytest.param("standard", "example.com:8080", "https://example.com", id="443-instead-of-8080"),
        pytest.param("standard", "[2001:db8::1]:8080", "https://[2001:db8::1]", id="443-ipv6"),
    ],
)
def test_the_location(front: Front, listener: str, host: str, expected: str):
    response = ask(front, listener, "/public/a%20b?x=1&y=%2F", host)

    where = expected.replace("PORT", str(front.ports["tls"]))
    assert (response.status_code, response.headers["location"]) == (308, f"{where}/public/a%20b?x=1&y=%2F")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/public/x", "/private/x", "/nowhere", "/"])
def test_nothing_is_served(front: Front, method: str, path: str):
    assert ask(front, "redirect", path, "example.com", method).status_code == 308


def test_a_client_gets_where_it_wanted(front: Front):
    with httpx.Client(trust_env=False, verify=front.trust(), follow_redirects=True) as client:
        response = client.post(f"{front.url('redirect', 'http')}/public/x?y=1", content=b"body")

    assert response.url == f"{front.url('tls')}/public/x?y=1"
    assert (response.json()["method"], response.json()["bytes"]) == ("POST", 4)


@pytest.mark.parametrize("path", ["/health", "/readyz"])
def test_probes_are_answered(front: Front, path: str):
    assert ask(front, "redirect", path, "example.com").status_code == 200


def test_it_is_in_the_access_log(front: Front):
    response = ask(front, "redirect", "/public/x?secret=1", "example.com")

    row = front.gateway.logged(response.headers["x-request-id"])
    assert (row["listener"], row["status"], row["path"]) == ("redirect", 308, "/public/x")
