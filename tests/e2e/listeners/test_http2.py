"""HTTP/2 in clear text, by prior knowledge (RFC 9113, section 3.3)."""

import asyncio

import httpx

from tests.e2e.listeners.conftest import Front


def test_a_request(front: Front):
    with httpx.Client(http1=False, http2=True, trust_env=False) as client:
        response = client.get(f"{front.url('zstd', 'http')}/public/x")

    assert (response.status_code, response.http_version) == (200, "HTTP/2")
    row = front.gateway.logged(response.headers["x-request-id"])
    assert (row["listener"], row["protocol"]) == ("zstd", "HTTP/2")


async def test_many_requests_on_one_connection(front: Front):
    async with httpx.AsyncClient(http1=False, http2=True, trust_env=False) as client:
        asked = (client.get(f"{front.url('zstd', 'http')}/public/{number}") for number in range(150))
        responses = await asyncio.gather(*asked)

    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["path"] for response in responses}) == 150
