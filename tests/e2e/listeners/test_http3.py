"""HTTP/3 beside TCP on one port, under the same rules."""

import json

import pytest

from tests.e2e.listeners.conftest import TOKEN, Front
from tests.support.certificates import Authority
from tests.support.http3 import NoHttp3, get


async def test_a_request_over_quic(front: Front):
    response = await get(front.ports["tls"], "/public/x", authority=front.authority.pem)

    assert response.status == 200
    row = front.gateway.logged(response.headers["x-request-id"])
    assert (row["listener"], row["protocol"], row["client"]) == ("tls", "HTTP/3", "127.0.0.1")


async def test_credentials_are_asked_for(front: Front):
    port, authority = front.ports["tls"], front.authority.pem

    refused = await get(port, "/private/x", authority=authority)
    served = await get(port, "/private/x", authority=authority, headers={"authorization": f"Bearer {TOKEN}"})

    assert (refused.status, served.status) == (401, 200)


async def test_headers_of_ours_are_removed(front: Front):
    spoofed = {"x-forwarded-for": "10.0.0.1", "x-tollgate-subject": "root"}
    response = await get(front.ports["tls"], "/public/x", authority=front.authority.pem, headers=spoofed)

    assert b"10.0.0.1" not in response.body
    assert b"root" not in response.body


@pytest.mark.parametrize(
    ("listener", "client"),
    [pytest.param("tls", "127.0.0.1", id="anybody"), pytest.param("local", "203.0.113.9", id="a-trusted-proxy")],
)
async def test_only_a_proxy_names_its_client(front: Front, listener: str, client: str):
    told = {"x-forwarded-for": "6.6.6.6, 203.0.113.9"}
    response = await get(front.ports[listener], "/public/x", authority=front.authority.pem, headers=told)

    assert dict(json.loads(response.body)["headers"])["x-forwarded-for"] == client
    assert front.gateway.logged(response.headers["x-request-id"])["client"] == client


@pytest.mark.parametrize("path", ["/public/x", "/private/x", "/nowhere"])
def test_clients_over_tcp_hear_of_it(front: Front, path: str):
    assert front.get("tls", path).headers["alt-svc"] == f'h3=":{front.ports["tls"]}"; ma=3600'


def test_clients_of_a_listener_without_it_do_not(front: Front):
    assert "alt-svc" not in front.get("asking", "/public/x").headers


async def test_certificates_of_clients_are_asked_for(front: Front):
    port, authority = front.ports["modern"], front.authority.pem
    known = front.certificate_of(front.clients, "quic-known")
    foreign = front.certificate_of(Authority("authority of clients"), "quic-foreign")

    assert (await get(port, "/public/x", authority=authority, certificate=known)).status == 200
    for certificate in (None, foreign):
        with pytest.raises(NoHttp3, match="TLS handshake failure"):
            await get(port, "/public/x", authority=authority, certificate=certificate)
