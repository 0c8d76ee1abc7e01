"""The real Envoy follows secrets, in both protocols: rotated ones replace the old, nobody waits for what is there."""

import asyncio
import socket
import ssl

import pytest
from cryptography import x509

from control_plane.server.types import ENVOYS
from control_plane.snapshot import Resource
from control_plane.xds.names import SECRET_TYPE
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.live_envoy import SOON, STARTED, Envoy, line
from tests.support.modes import ADS_MODES, Mode
from tests.support.xds import listener, pair, routes

AUTHORITY = Authority()
BOTH = pytest.mark.parametrize("mode", ADS_MODES, ids=lambda mode: mode.name)


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
async def test_a_rotated_certificate_is_shown_at_once(mode: Mode) -> None:
    (first, first_number), (second, second_number) = issued(), issued()
    async with line(mode) as found:
        await found.publish(*front(), first)
        await eventually(lambda: shown(found.envoy), within=STARTED)
        port, before = await found.envoy.port(), await shown(found.envoy)
        await found.publish(*front(), second)

        await eventually(lambda: found.ads.converged(ENVOYS.cluster), within=SOON)
        assert (before, await shown(found.envoy)) == (first_number, second_number)
        assert await found.envoy.port() == port  # of the same listener


@BOTH
async def test_a_certificate_that_envoy_refuses_leaves_the_old_one(mode: Mode) -> None:
    first, number = issued()
    certificate, _ = AUTHORITY.issue("localhost")
    _, foreign = AUTHORITY.issue("localhost")
    async with line(mode) as found:
        await found.publish(*front(), first)
        await eventually(lambda: shown(found.envoy), within=STARTED)
        outcome = await found.publish(*front(), pair("s", certificate, foreign))

        (refused,) = outcome.refused
        assert (refused.refusal.type_url, refused.refusal.names) == (SECRET_TYPE, ("s",))
        assert "KEY_VALUES_MISMATCH" in refused.refusal.message
        assert foreign not in refused.refusal.message
        assert await shown(found.envoy) == number


@BOTH
@pytest.mark.parametrize("rotated", [True, False], ids=["with-its-certificate", "alone"])
async def test_a_changed_listener_waits_for_nothing_it_has(mode: Mode, rotated: bool) -> None:
    (first, _), (second, _) = issued(), issued()
    async with line(mode) as found:
        await found.publish(*front(), first)
        await eventually(lambda: shown(found.envoy), within=STARTED)
        await found.publish(*front("y"), second if rotated else first)

        await eventually(lambda: found.ads.converged(ENVOYS.cluster), within=SOON)
        await eventually(lambda: shown(found.envoy), within=SOON)


@BOTH
async def test_a_listener_that_comes_back_gets_its_certificate(mode: Mode) -> None:
    first, _ = issued()
    async with line(mode) as found:
        await found.publish(*front(), first)
        await eventually(lambda: shown(found.envoy), within=STARTED)

        async def gone() -> bool:
            return not await found.envoy.port()

        await found.publish()
        await eventually(gone, within=SOON)
        await found.publish(*front(), first)
        await eventually(lambda: shown(found.envoy), within=SOON)
