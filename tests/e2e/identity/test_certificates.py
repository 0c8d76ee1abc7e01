"""Client certificates as credentials, through the real Envoy."""

import pytest

from tests.e2e.identity.conftest import BILLING, CERTIFIED, TOKEN, Front, refused, seen


def test_the_certificate_says_who_calls(front: Front):
    told = seen(front.get("/certified", listener=CERTIFIED, certificate=(BILLING,)))

    assert (told["x-tollgate-subject"], told["x-tollgate-consumer"], told["x-tollgate-tenant"]) == (
        BILLING, "acme", "acme-inc",
    )  # fmt: skip
    assert len(told["x-tollgate-key-id"]) == 64


def test_a_pattern_takes_what_is_below_it(front: Front):
    told = seen(front.get("/certified", listener=CERTIFIED, certificate=("spiffe://example.org/jobs/nightly",)))

    assert told["x-tollgate-consumer"] == "spiffe://example.org/jobs/nightly"


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("spiffe://example.org/other",), id="an unknown name"),
        pytest.param(("spiffe://example.org/jobs",), id="the pattern without what is below"),
        pytest.param(("spiffe://example.com/billing",), id="another trust domain"),
        pytest.param((f"{BILLING}/x",), id="below an exact name"),
        pytest.param(("billing.example.org",), id="a host name"),
        pytest.param((BILLING, "spiffe://example.org/jobs/x"), id="two names"),
        pytest.param(("spiffe://example.org/jobs/../billing",), id="dots"),
    ],
)
def test_another_certificate_is_nobodys(front: Front, names: tuple[str, ...]):
    response = front.get("/certified", listener=CERTIFIED, certificate=names)

    assert refused(response) == (401, "unknown_certificate")
    assert response.headers["www-authenticate"] == 'Certificate realm="tollgate", error="invalid_token"'


@pytest.mark.parametrize("listener", ["plain", CERTIFIED])
def test_without_a_certificate_there_is_no_credential(front: Front, listener: str):
    spoofed = {"x-forwarded-client-cert": f"URI={BILLING}"}

    assert refused(front.get("/certified", listener=listener, headers=spoofed)) == (401, "missing_credential")


def test_a_certificate_and_a_token_are_two_credentials(front: Front):
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert refused(front.get("/either", listener=CERTIFIED, certificate=(BILLING,), headers=headers))[0] == 400
    assert seen(front.get("/either", listener=CERTIFIED, headers=headers))["x-tollgate-subject"] == "ops"
    assert seen(front.get("/either", listener=CERTIFIED, certificate=(BILLING,)))["x-tollgate-subject"] == BILLING


def test_where_certificates_are_no_credential_none_is_looked_at(front: Front):
    headers = {"authorization": f"Bearer {TOKEN}"}
    told = seen(front.get("/tokens", listener=CERTIFIED, certificate=("spiffe://example.org/other",), headers=headers))

    assert told["x-tollgate-subject"] == "ops"
