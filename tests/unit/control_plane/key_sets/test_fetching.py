import json
from collections.abc import Mapping
from typing import Any

import pytest

from control_plane.config.key_sets import KeySource
from control_plane.key_sets.fetching import fetched_key_set
from control_plane.polling.answers import Unavailable
from tests.support.authz import ec_jwk, jwks, rsa_jwk
from tests.support.key_sets import Published

ISSUER = "https://accounts.example.com/tenant"
WELL_KNOWN = ISSUER + "/.well-known/openid-configuration"
URL = "https://keys.example.com/jwks"


def source(**changes: Any) -> KeySource:
    fields = {"issuer": ISSUER, "url": URL, "algorithms": ("RS256",), "refresh": 300.0, "private": False}
    return KeySource(**{**fields, **changes})


async def fetched(documents: Mapping[str, str | bytes], **changes: Any) -> list[dict[str, Any]]:
    return json.loads(await fetched_key_set(source(**changes), Published(documents)))["keys"]


async def test_the_set_of_a_url():
    assert await fetched({URL: jwks(rsa_jwk())}) == [{**rsa_jwk()}]


@pytest.mark.parametrize("issuer", [ISSUER, ISSUER + "/"])
async def test_the_set_that_the_issuer_names(issuer: str):
    document = json.dumps({"issuer": issuer, "jwks_uri": URL, "response_types_supported": ["code"]})

    assert await fetched({WELL_KNOWN: document, URL: jwks(rsa_jwk())}, issuer=issuer, url=None)


async def test_two_copies_of_a_set_are_one():
    """Another order, keys twice, certificates, and keys that verify nothing here."""
    a = jwks(rsa_jwk("k1", x5c=["MIIB"], use="sig"), rsa_jwk("k2"))
    b = jwks(rsa_jwk("k2"), {"kty": "NEW"}, rsa_jwk("k3", use="enc"), rsa_jwk("k1", use="sig", iat=7), rsa_jwk("k2"))

    assert await fetched({URL: a}) == await fetched({URL: b})


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "k", "x5c", "x5u"])
async def test_nothing_is_kept_but_what_is_public(member: str):
    (key,) = await fetched({URL: jwks(rsa_jwk(**{member: "SECRET"}))})

    assert "SECRET" not in str(key)


async def test_a_key_that_is_broken_costs_itself():
    keys = await fetched({URL: jwks(rsa_jwk("k1"), rsa_jwk("k2", n="AQAB"), rsa_jwk("k3", n=7))})

    assert "k1" in {key["kid"] for key in keys}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("", "no JSON object", id="empty"),
        pytest.param("<html>", "no JSON object", id="page"),
        pytest.param(b"\xff\xfe", "no UTF-8", id="bytes"),
        pytest.param("[]", "no JSON object", id="list"),
        pytest.param("{}", "no list of objects", id="no-keys"),
        pytest.param('{"keys":[],"keys":[]}', "repeats a member", id="member-twice"),
        pytest.param('{"keys":' + "[" * 100_000 + "]" * 100_000 + "}", "no JSON object", id="nested"),
        pytest.param(jwks(), "no key of the JWKS can verify RS256", id="no-key"),
        pytest.param(jwks(ec_jwk()), "no key of the JWKS can verify RS256", id="other-algorithms"),
        pytest.param(jwks(rsa_jwk(use="enc")), "no key", id="for-encryption"),
        pytest.param(jwks(rsa_jwk(), {"kty": "oct", "k": "c2VjcmV0"}), "symmetric", id="symmetric"),
        pytest.param(jwks({"kty": "oct", "k": "c2VjcmV0"}), "symmetric", id="symmetric-alone"),
        pytest.param(jwks(rsa_jwk("k1"), rsa_jwk("k2", kid="k1")), "the same `kid`", id="two-of-one-name"),
        pytest.param(jwks(rsa_jwk("k1", kid=None), rsa_jwk("k2", kid=None)), "no `kid`", id="several-without-names"),
        pytest.param(jwks(*(rsa_jwk(kid=f"k{i}") for i in range(101))), "100 is the most", id="too-many"),
    ],
)
async def test_a_set_that_is_refused(body: str | bytes, reason: str):
    with pytest.raises(Unavailable, match=reason) as caught:
        await fetched({URL: body})

    assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param("<html>", "no JSON object", id="page"),
        pytest.param(b"\xff", "no JSON object", id="bytes"),
        pytest.param({"jwks_uri": URL}, "another issuer", id="no-issuer"),
        pytest.param({"issuer": ISSUER + "/", "jwks_uri": URL}, "another issuer", id="slash"),
        pytest.param({"issuer": ISSUER.upper(), "jwks_uri": URL}, "another issuer", id="case"),
        pytest.param({"issuer": [ISSUER], "jwks_uri": URL}, "another issuer", id="list"),
        pytest.param({"issuer": "https://{tenant}.example.com", "jwks_uri": URL}, "another issuer", id="template"),
        pytest.param({"issuer": ISSUER}, "no `jwks_uri`", id="no-keys"),
        pytest.param({"issuer": ISSUER, "jwks_uri": 7}, "no `jwks_uri`", id="number"),
        pytest.param(f'{{"issuer":"{ISSUER}","issuer":"{ISSUER}","jwks_uri":"{URL}"}}', "repeats a member", id="twice"),
    ],
)
async def test_a_discovery_document_that_is_refused(document: object, reason: str):
    body = document if isinstance(document, str | bytes) else json.dumps(document)
    published = Published({WELL_KNOWN: body, URL: jwks(rsa_jwk())})

    with pytest.raises(Unavailable, match=reason):
        await fetched_key_set(source(url=None), published)
    assert published.asked == [WELL_KNOWN]
