"""Attacks on the gateway as an issuer: tokens that it did not sign, or that say more than it said, open nothing.

The numbers are those of the list of hardening rules: 13 algorithms, 14 issuer and audience, 15 dates, 16 `kid`, 18
`crit`, 19 keys that a token brings along, 22 `typ`.
"""

import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from service_kit.gateway_tokens import ALGORITHM, public_keys, signing_key
from tests.support.authz import NOW, api_key, key_of, raw_token, rsa_issuer, unpadded
from tests.support.tokens import AUDIENCE, FIRST, GATEWAY, SECOND, token_gate, token_policy
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

STRANGER = signing_key((99).to_bytes(32), 0)
PEM = FIRST.private.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
JWK = json.loads(public_keys([STRANGER]))["keys"][0]
GOOD = {
    "iss": GATEWAY, "aud": AUDIENCE, "sub": "acme", "consumer": "acme", "client_id": key_of("k1").id,
    "key_id": key_of("k1").id, "scope": "email.send", "iat": NOW, "nbf": NOW, "exp": NOW + 60,
}  # fmt: skip
HEADER = {"kid": FIRST.id, "typ": "at+jwt"}


def signed(header=None, key=FIRST, **claims):
    said = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    chosen = {name: value for name, value in {**HEADER, **(header or {})}.items() if value is not None or name == "typ"}
    return jwt.encode(said, key.private, ALGORITHM, chosen)


def symmetric(secret: bytes) -> str:
    """PyJWT would not sign with a public key."""
    parts = (json.dumps(part).encode() for part in ({**HEADER, "alg": "HS256"}, GOOD))
    signing_input = ".".join(map(unpadded, parts))
    return f"{signing_input}.{unpadded(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"


def unsigned(algorithm: str) -> str:
    parts = (json.dumps(part).encode() for part in ({**HEADER, "alg": algorithm}, GOOD))
    return f"{'.'.join(map(unpadded, parts))}."


ATTACKS = [
    pytest.param(unsigned("none"), id="13 none"),
    pytest.param(unsigned("None"), id="13 None"),
    pytest.param(unsigned("ES256"), id="13 no signature"),
    pytest.param(symmetric(PEM), id="13 the public key as a secret"),
    pytest.param(symmetric(public_keys([FIRST]).encode()), id="13 the published keys as a secret"),
    pytest.param(symmetric(b""), id="13 an empty secret"),
    pytest.param(signed(key=STRANGER), id="16 a stranger under our name"),
    pytest.param(signed({"kid": STRANGER.id}, STRANGER), id="16 a stranger"),
    pytest.param(signed({"kid": None}), id="16 no name among two keys"),
    pytest.param(signed({"jwk": JWK}, STRANGER), id="19 jwk"),
    pytest.param(signed({"jku": "https://evil.test/jwks.json"}, STRANGER), id="19 jku"),
    pytest.param(signed({"crit": ["exp"]}), id="18 crit"),
    pytest.param(signed({"typ": "JWT"}), id="22 an ID token"),
    pytest.param(signed({"typ": None}), id="22 no type"),
    pytest.param(signed(iss=GATEWAY + "/"), id="14 another issuer"),
    pytest.param(signed(iss=None), id="14 no issuer"),
    pytest.param(signed(aud="email2"), id="14 another audience"),
    pytest.param(signed(aud=None), id="14 no audience"),
    pytest.param(signed(exp=None), id="15 for ever"),
    pytest.param(signed(exp=NOW - 11), id="15 over"),
    pytest.param(signed(iat=None, exp=NOW + 200_000), id="15 for long"),
    pytest.param(signed(nbf=NOW + 60), id="15 not yet"),
    pytest.param(signed(key_id=key_of("revoked").id), id="a key that is gone"),
    pytest.param(signed(key_id="k1\n"), id="a key with a line end"),
    pytest.param(signed(key_id=[key_of("k1").id]), id="a list of keys"),
    pytest.param(signed(key_id=key_of("k2").id), id="a key of another consumer"),
    # A signature by a key of another issuer of this gateway, under the gateway's name and the other way round.
    pytest.param(raw_token({**HEADER, "alg": "RS256", "kid": "k1"}, GOOD), id="14 the key of another issuer"),
    pytest.param(signed(iss="https://accounts.example.com"), id="14 our key for another issuer"),
]  # fmt: skip


def attacked():
    mine, others = api_key(scopes=["email.send"]), api_key("k2", consumer="other", scopes=["email.send"])
    consumers = [policy_pb.Consumer(name=name) for name in ("acme", "other")]
    return token_gate(token_policy(mine, others, consumers=consumers, jwt=[rsa_issuer()]))


def status(at, token: str, **demands: str) -> int:
    return at.gate.present(token, accept="jwt", **demands).status


@pytest.mark.parametrize("token", ATTACKS)
def test_a_token_that_the_gateway_did_not_give_opens_nothing(token):
    at = attacked()

    assert status(at, signed()) == 200
    assert status(at, token) == 401
    assert status(at, token) == 401  # nothing of it was remembered


def test_what_a_token_claims_beyond_its_key_counts_for_nothing():
    at = attacked()
    wide = signed(scope="email.send admin", roles=["root"], plan="gold", tenant="other", org="other")
    answer = at.gate.present(wide, accept="jwt")

    assert (answer.part("plan"), answer.part("tenant")) == ("-", "-")
    assert [status(at, wide, scopes=scope) for scope in ("email.send", "admin")] == [200, 403]
    assert status(at, wide, roles="root") == 403


def test_a_token_of_the_gateway_is_a_jwt_and_nothing_else():
    at = attacked()

    assert [at.gate.present(signed(), accept=kind).status for kind in ("bearer", "api_key", "mtls")] != [200] * 3
    assert at.gate.present(signed(), accept="api_key").code == "credential_not_accepted"


def test_a_key_that_is_announced_verifies_and_one_that_is_gone_does_not():
    at = attacked()
    early = signed({"kid": SECOND.id}, SECOND)

    assert status(at, early) == 200
    at.sign_with(FIRST)
    assert status(at, early) == 401


async def test_an_api_key_is_no_way_round_the_form():
    """Header tricks: two of them, joined ones, other schemes, and a key where the name stands."""
    at, key = attacked(), key_of("k1")
    tried = [
        {"headers": [("authorization", f"Bearer {key.text}"), ("authorization", f"Bearer {key.text}")]},
        {"headers": {"authorization": f"Bearer {key.text},Bearer {key.text}"}},
        {"headers": {"authorization": key.text}},
        {"headers": {"x-api-key": key.text}},
        {"auth": (key.text, "")},
        {"auth": (key.text, key.id)},
    ]
    answers = [await at.ask(**{"auth": None, **options}) for options in tried]

    assert [answer.status_code for answer in answers] == [400, 401, 401, 401, 401, 401]
