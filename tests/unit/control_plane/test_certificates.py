"""When certificates of listeners expire."""

import pytest
from cryptography import x509
from prometheus_client import CollectorRegistry

from control_plane.certificates import Expiry
from control_plane.ir.model import Address, Identification, Listener, ListenerTls, Secret
from tests.support.certificates import Authority

METRIC = "tollgate_certificate_expiry_seconds"
AUTHORITY = Authority()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def listener(name: str, chain: str | None) -> Listener:
    tls = None if chain is None else ListenerTls(Identification(chain, Secret(b"")), "1.2")
    return Listener(name, Address("127.0.0.1", 8443), tls=tls)


def chain(*days: int) -> str:
    return "".join(AUTHORITY.issue("localhost", days=number)[0] for number in days)


def test_the_first_of_a_chain_to_expire_counts(registry: CollectorRegistry) -> None:
    pem = chain(30, 2, 90)
    Expiry(registry).tell([listener("tls", pem)])

    _, soonest, _ = x509.load_pem_x509_certificates(pem.encode())
    assert registry.get_sample_value(METRIC, {"listener": "tls"}) == soonest.not_valid_after_utc.timestamp()


def test_listeners_that_are_gone_or_in_clear_text_have_none(registry: CollectorRegistry) -> None:
    expiry = Expiry(registry)
    expiry.tell([listener("old", chain(1)), listener("clear", None)])
    expiry.tell([listener("new", chain(1))])

    found = [sample.labels["listener"] for metric in registry.collect() for sample in metric.samples]
    assert found == ["new"]
