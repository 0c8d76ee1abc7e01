import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import replace

import jwt
import pytest

from service_kit.gateway_tokens import (
    ALGORITHM,
    Holder,
    Terms,
    drawn_signing_key,
    minted,
    public_keys,
    signing,
    signing_key,
)
from tests.support.authz import counted_bytes

NOW = 1_700_000_000.7
TERMS = Terms("https://gateway.example.com", ("email", "reports"), 300)
HOLDER = Holder(
    key_id="7vPq2mX9aB3k", consumer="acme", tenant="acme-corp", plan="pro", scopes=("email.read", "email.send"),
    roles=("mailer",), expires=0, anywhere=True,
)  # fmt: skip
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def numbered(number: int, signs_from: int = 0):
    return signing_key(number.to_bytes(32), signs_from)


def decoded(token: str, keys: str, **options):
    found = jwt.PyJWKSet.from_json(keys)[jwt.get_unverified_header(token)["kid"]]
    times = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(token, found, algorithms=[ALGORITHM], audience="email", options=times, **options)


def test_what_a_token_says():
    key = drawn_signing_key(0, counted_bytes())
    found = minted(key, TERMS, HOLDER, now=NOW, random_bytes=counted_bytes())

    assert jwt.get_unverified_header(found.token) == {"alg": "ES256", "typ": "at+jwt", "kid": key.id}
    assert decoded(found.token, public_keys([key]), issuer=TERMS.issuer) == {
        "iss": "https://gateway.example.com",
        "aud": ["email", "reports"],
        "sub": "acme",
        "client_id": "7vPq2mX9aB3k",
        "consumer": "acme",
        "tenant": "acme-corp",
        "plan": "pro",
        "scope": "email.read email.send",
        "roles": ["mailer"],
        "key_id": "7vPq2mX9aB3k",
        "anywhere": True,
        "jti": found.id,
        "iat": 1_700_000_000,
        "nbf": 1_700_000_000,
        "exp": 1_700_000_300,
    }


def test_a_restriction_to_models_is_said():
    holder = replace(HOLDER, models=",llama3.1:*,")
    found = minted(numbered(7), TERMS, holder, now=NOW, random_bytes=counted_bytes())

    assert decoded(found.token, public_keys([numbered(7)]))["models"] == ",llama3.1:*,"


@pytest.mark.parametrize(
    ("expires", "lifetime", "expected"),
    [
        pytest.param(0, None, 300, id="as agreed"),
        pytest.param(0, 30, 30, id="shorter"),
        pytest.param(0, 301, 300, id="no longer"),
        pytest.param(1_700_000_060, None, 60, id="no longer than its key"),
        pytest.param(1_700_000_060, 10, 10, id="shorter than its key"),
        pytest.param(1_800_000_000, None, 300, id="a key that lives on"),
    ],
)
def test_a_token_ends_with_its_key_at_the_latest(expires, lifetime, expected):
    holder = replace(HOLDER, tenant=None, plan=None, expires=expires)
    found = minted(numbered(7), TERMS, holder, now=NOW, random_bytes=counted_bytes(), lifetime=lifetime)
    claims = decoded(found.token, public_keys([numbered(7)]))

    assert (found.lifetime, claims["exp"] - claims["iat"]) == (expected, expected)
    assert not {"plan", "tenant"} & claims.keys()


def test_one_audience_stands_alone():
    terms = Terms(TERMS.issuer, ("email",), 60)
    found = minted(numbered(7), terms, HOLDER, now=NOW, random_bytes=counted_bytes())

    assert decoded(found.token, public_keys([numbered(7)]))["aud"] == "email"


def test_no_two_tokens_are_the_same():
    random_bytes = counted_bytes()
    found = [minted(numbered(7), TERMS, HOLDER, now=NOW, random_bytes=random_bytes) for _ in range(3)]

    assert len({item.id for item in found}) == len({item.token for item in found}) == 3


def test_a_key_is_named_by_its_thumbprint():
    (jwk,) = json.loads(public_keys([numbered(7)]))["keys"]
    required = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))

    assert jwk["kid"] == urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).rstrip(b"=").decode()
    assert numbered(7).id == jwk["kid"] != numbered(8).id


def test_nothing_private_is_published_or_shown():
    key = drawn_signing_key(0, counted_bytes())
    (jwk,) = json.loads(public_keys([key]))["keys"]

    assert jwk.keys() == {"kty", "crv", "x", "y", "alg", "kid", "use"}
    assert key.number.hex() not in repr(key)
    assert "private" not in repr(key)
    assert "eyJ" not in repr(minted(key, TERMS, HOLDER, now=NOW, random_bytes=counted_bytes()))


def test_the_last_key_whose_time_has_come_signs():
    keys = [numbered(1, 100), numbered(2, 200), numbered(3, 300)]

    chosen = {now: signing(keys, now) for now in (50, 100, 199, 200, 1_000)}
    assert {now: key.signs_from for now, key in chosen.items()} == {50: 100, 100: 100, 199: 100, 200: 200, 1_000: 300}
    assert signing([], 100) is None


@pytest.mark.parametrize(
    "number",
    [
        pytest.param((0).to_bytes(32), id="zero"),
        pytest.param(ORDER.to_bytes(32), id="the order"),
        pytest.param(b"\xff" * 32, id="beyond"),
        pytest.param(b"\x01" * 31, id="short"),
        pytest.param(b"", id="empty"),
    ],
)
def test_not_every_number_is_a_key(number):
    with pytest.raises(ValueError, match="no key on P-256"):
        signing_key(number, 0)


@pytest.mark.parametrize("byte", [0x00, 0x01, 0xFF])
def test_whatever_is_drawn_is_a_key(byte):
    key = drawn_signing_key(5, lambda size: bytes([byte]) * size)

    assert signing_key(key.number, 5) == key
