"""The real Envoy follows secrets, in both protocols: rotated ones replace the old, nobody waits for what is there."""

import asyncio
import socket
import ssl

import pytest
from cryptography import x509

from control_plane.server.types import ENVOYS
from control_plane.snapshot import Resource
from control_plane.xds.names import SECRET_TYPE
from tests.feature.test_real_envoy import BOTH, Envoy, gateway
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.xds import listener, pair, routes

AUTHORITY = Authority()
# Envoy gives up waiting for a secret after 15 seconds; whoever needs as long has waited for nothing.
SOON = 8.0


def issued() -> tuple[Resource, int]:
    """A certificate as a secret, and its serial number."""
    certificate, key = AUTHORITY.issue("localhost")
    return pair("s", certificate, key), x509.load_pem_x509_certificate(certificate.encode()).serial_number


async def shown(envoy: Envoy) -> int:
    """The serial number of the certificate that a new connection sees; 0 where there is none."""
    return await asyncio.to_thread(_shown, await envoy.port())


def _shown(port: int) -> int:
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as sock,
        ):
            return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"").serial_number
    except OSError:
        return 0


def front(prefix: str = "x") -> list[Resource]:
    return [listener("front", "r", certificate="s", prefix=prefix), routes("r")]


@BOTH
async def test_a_rotated_certificate_is_shown_at_once(api_type: str) -> None:
    (first, first_number), (second, second_number) = issued(), issued()
    async with gateway(api_type) as (envoy, publish, ads):
        await publish(*front(), first)
        await eventually(lambda: shown(envoy), within=15)
        port, before = await envoy.port(), await shown(envoy)
        await publish(*front(), second)

        await eventually(lambda: ads.converged(ENVOYS.cluster), within=SOON)
        assert (before, await shown(envoy)) == (first_number, second_number)
        assert await envoy.port() == port  # of the same listener


@BOTH
async def test_a_certificate_that_envoy_refuses_leaves_the_old_one(api_type: str) -> None:
    first, number = issued()
    certificate, _ = AUTHORITY.issue("localhost")
    _, foreign = AUTHORITY.issue("localhost")
    async with gateway(api_type) as (envoy, publish, ads):
        await publish(*front(), first)
        await eventually(lambda: shown(envoy), within=15)
        await publish(*front(), pair("s", certificate, foreign))

        (status,) = ads.statuses()
        refusal = status.types[SECRET_TYPE].refusal
        assert refusal is not None
        assert "KEY_VALUES_MISMATCH" in refusal.message
        assert foreign not in refusal.message
        assert await shown(envoy) == number


@BOTH
@pytest.mark.parametrize("rotated", [True, False], ids=["with-its-certificate", "alone"])
async def test_a_changed_listener_waits_for_nothing_it_has(api_type: str, rotated: bool) -> None:
    (first, _), (second, _) = issued(), issued()
    async with gateway(api_type) as (envoy, publish, ads):
        await publish(*front(), first)
        await eventually(lambda: shown(envoy), within=15)
        await publish(*front("y"), second if rotated else first)

        await eventually(lambda: ads.converged(ENVOYS.cluster), within=SOON)
        await eventually(lambda: shown(envoy), within=SOON)


@BOTH
async def test_a_listener_that_comes_back_gets_its_certificate(api_type: str) -> None:
    first, _ = issued()
    async with gateway(api_type) as (envoy, publish, _ads):
        await publish(*front(), first)
        await eventually(lambda: shown(envoy), within=15)

        async def gone() -> bool:
            return not await envoy.port()

        await publish()
        await eventually(gone, within=SOON)
        await publish(*front(), first)
        await eventually(lambda: shown(envoy), within=SOON)
