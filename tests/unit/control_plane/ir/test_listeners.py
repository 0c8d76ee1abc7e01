"""What is meant by a listener as it is written."""

from typing import Any

import pytest

from control_plane.ir.model import Listener
from tests.support.certificates import Authority
from tests.support.compiled import compiled, config

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("localhost")
PAIR = {"certificate": CERTIFICATE, "private_key": KEY}


def meant(**written: Any) -> Listener:
    (listener,) = compiled(config(listeners={"public": {"address": "127.0.0.1:8800", **written}})).gateway.listeners
    return listener


def test_networks_are_sorted_and_encodings_stand_as_preferred() -> None:
    listener = meant(trusted_proxies=["10.0.0.0/8", "::1", "127.0.0.1"], compression=["zstd", "gzip", "brotli"])

    assert listener.trusted_proxies == ("10.0.0.0/8", "127.0.0.1/32", "::1/128")
    assert listener.compression == ("zstd", "gzip", "brotli")


@pytest.mark.parametrize(
    ("written", "required"),
    [
        pytest.param({}, None, id="nobody-is-asked"),
        pytest.param({"client_ca": AUTHORITY.pem}, True, id="required-unless-said"),
        pytest.param({"client_ca": AUTHORITY.pem, "client_certificate": "optional"}, False, id="optional"),
    ],
)
def test_certificates_of_clients(written: dict[str, str], required: bool | None) -> None:
    tls = meant(tls={**PAIR, **written}).tls

    assert tls is not None
    assert (None if tls.clients is None else tls.clients.required) is required


def test_a_key_shows_in_no_repr() -> None:
    assert KEY.splitlines()[1] not in repr(meant(tls=PAIR))
