import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from service_kit.verification_keys import (
    LARGEST_SET,
    UnusableKeys,
    jwks_keys,
    public_jwks,
    secret_keys,
    stamped_jwks,
    usable_jwks,
)
from tests.support.authz import SECRET, ec_jwk, jwks, rsa_jwk, rsa_key, unpadded

RS256 = ["RS256"]


def kids(text: str, algorithms: list[str]) -> list[str | None]:
    return [key.kid for key in jwks_keys(text, algorithms).keys]


def test_a_key_is_bound_to_the_algorithms_of_its_type():
    found = jwks_keys(jwks(rsa_jwk(), ec_jwk()), ["ES256", "RS256", "PS512"])

    assert [sorted(key.by_algorithm) for key in found.keys] == [["PS512", "RS256"], ["ES256"]]


def test_edwards_keys():
    public = ed25519.Ed25519PrivateKey.generate().public_key()

    assert kids(jwks({**OKPAlgorithm.to_jwk(public, as_dict=True), "kid": "o1"}), ["EdDSA"]) == ["o1"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(rsa_jwk("k2", use="enc"), id="for-encryption"),
        pytest.param(rsa_jwk("k2", key_ops=["sign"]), id="for-signing"),
        pytest.param(rsa_jwk("k2", key_ops="verify"), id="operations-no-list"),
        pytest.param(rsa_jwk("k2", alg="RS512"), id="bound-to-another-algorithm"),
        pytest.param(rsa_jwk("k2", alg=["RS256"]), id="bound-to-a-list"),
        pytest.param(rsa_jwk("k2", kty="NEW"), id="unknown-type"),
        pytest.param({"kid": "k2"}, id="no-type"),
        pytest.param({**ec_jwk("k2"), "crv": "P-999"}, id="unknown-curve"),
        pytest.param(ec_jwk("k2"), id="type-of-another-algorithm"),
    ],
)
def test_a_key_that_cannot_verify_is_passed_over(other: dict[str, Any]):
    assert kids(jwks(rsa_jwk("k1"), other), RS256) == ["k1"]


def test_private_members_are_dropped():
    private = {**RSAAlgorithm.to_jwk(rsa_key("k1"), as_dict=True), "kid": "k1", "key_ops": ["sign", "verify"]}
    (key,) = jwks_keys(jwks(private), RS256).keys

    assert "d" in private
    assert "d" not in key.by_algorithm["RS256"]._jwk_data
    assert not hasattr(key.by_algorithm["RS256"].key, "private_numbers")


def many(count: int) -> str:
    return jwks(*(rsa_jwk("k1", kid=f"k{number}") for number in range(count)))


def test_a_hundred_keys_are_enough():
    assert len(jwks_keys(many(100), RS256).keys) == 100


@pytest.mark.parametrize(
    ("text", "algorithms", "reason"),
    [
        pytest.param("", RS256, "no JSON object", id="empty"),
        pytest.param("[]", RS256, "no JSON object", id="list"),
        pytest.param('{"keys":[],"keys":[]}', RS256, "no JSON object", id="member-twice"),
        pytest.param("{}", RS256, "no list of objects", id="no-keys"),
        pytest.param('{"keys":{}}', RS256, "no list of objects", id="keys-no-list"),
        pytest.param('{"keys":["x"]}', RS256, "no list of objects", id="key-no-object"),
        pytest.param(jwks(), RS256, "no key", id="no-key"),
        pytest.param(jwks(ec_jwk()), RS256, "no key", id="no-key-of-the-type"),
        pytest.param(jwks(rsa_jwk(), {"kty": "oct", "k": "c2VjcmV0"}), RS256, "symmetric", id="symmetric"),
        pytest.param(jwks(rsa_jwk(n="!")), RS256, "cannot be read", id="broken-number"),
        pytest.param(jwks(rsa_jwk(n=7)), RS256, "cannot be read", id="number-no-text"),
        pytest.param(jwks(rsa_jwk(n=None)), RS256, "cannot be read", id="no-number"),
        pytest.param(jwks({**ec_jwk(), "x": "AAAA"}), ["ES256"], "cannot be read", id="point-off-the-curve"),
        pytest.param(jwks(rsa_jwk(), rsa_jwk("other", kid="k1")), RS256, "same `kid`", id="kid-twice"),
        pytest.param(jwks(rsa_jwk(kid=None), rsa_jwk("k2", kid=None)), RS256, "several keys", id="no-kid-at-all"),
        pytest.param(jwks(rsa_jwk(kid=7)), RS256, "no text", id="kid-number"),
        pytest.param(jwks(rsa_jwk(kid="-")), RS256, "missing value", id="kid-poses-as-missing"),
        pytest.param(jwks(rsa_jwk()), ["RS256", "HS256"], "asymmetric algorithms only", id="mixed"),
        pytest.param(jwks(rsa_jwk()), ["HS256"], "asymmetric algorithms only", id="hmac"),
        pytest.param(jwks(rsa_jwk()), ["none"], "asymmetric algorithms only", id="none"),
        pytest.param(jwks(rsa_jwk()), ["RS257"], "asymmetric algorithms only", id="unknown-algorithm"),
        pytest.param(many(101), RS256, "101 keys", id="too-many"),
        pytest.param(jwks(rsa_jwk(pad="x" * LARGEST_SET)), RS256, "larger", id="too-large"),
    ],
)
def test_a_set_that_is_not_what_it_seems_is_refused(text: str, algorithms: list[str], reason: str):
    with pytest.raises(UnusableKeys, match=reason):
        jwks_keys(text, algorithms)


@pytest.mark.parametrize(("bits", "reason"), [(1024, "too short"), (8200, "longer than")])
def test_an_rsa_key_is_neither_weak_nor_a_burden(bits: int, reason: str):
    modulus = (1 << (bits - 1)) | 1  # a number of that size is enough to be measured; a real key takes long to make

    with pytest.raises(UnusableKeys, match=reason):
        jwks_keys(jwks(rsa_jwk(n=number(modulus))), RS256)


def number(value: int) -> str:
    return unpadded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@pytest.mark.parametrize("name", ["HS256", "HS384", "HS512"])
def test_a_secret_is_as_long_as_its_hash(name: str):
    size = int(name[2:]) // 8

    assert [*secret_keys(b"x" * size, [name]).keys[0].by_algorithm] == [name]
    with pytest.raises(UnusableKeys, match=f"at least {size}"):
        secret_keys(b"x" * (size - 1), [name])


def public_key(encoding: Encoding, form: PublicFormat) -> bytes:
    return rsa_key("k1").public_key().public_bytes(encoding, form)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(lambda: public_key(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), id="pem"),
        pytest.param(lambda: public_key(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), id="der"),
        pytest.param(lambda: public_key(Encoding.OpenSSH, PublicFormat.OpenSSH), id="ssh"),
        pytest.param(lambda: json.dumps(rsa_jwk()).encode(), id="jwk"),
        pytest.param(lambda: jwks(rsa_jwk()).encode(), id="jwks"),
    ],
)
def test_a_public_key_is_no_secret(secret: Any):
    with pytest.raises(UnusableKeys, match="everybody knows"):
        secret_keys(secret(), ["HS256"])


@pytest.mark.parametrize("algorithms", [["RS256"], ["HS256", "RS256"], ["none"], ["hs256"]])
def test_a_secret_serves_hmac_only(algorithms: list[str]):
    with pytest.raises(UnusableKeys, match="a secret serves"):
        secret_keys(SECRET, algorithms)


@pytest.mark.parametrize(
    ("names", "kid", "chosen"),
    [
        pytest.param(["k1"], "k1", "k1", id="one-named"),
        pytest.param(["k1"], None, "k1", id="one-unnamed-by-the-token"),
        pytest.param(["k1"], "k2", None, id="one-named-otherwise"),
        pytest.param(["k1", "k2"], "k2", "k2", id="several-named"),
        pytest.param(["k1", "k2"], None, None, id="several-unnamed-by-the-token"),
        pytest.param(["k1", "k2"], "k3", None, id="several-named-otherwise"),
    ],
)
def test_the_key_is_the_one_that_the_token_names(names: list[str], kid: str | None, chosen: str | None):
    found = jwks_keys(jwks(*(rsa_jwk(name) for name in names)), RS256).select(kid=kid, algorithm="RS256")

    assert (found[0].kid if found else None) == chosen


def test_a_single_key_without_a_name_takes_any():
    keys = jwks_keys(jwks(rsa_jwk(kid=None)), RS256)

    assert keys.select(kid="anything", algorithm="RS256")
    assert keys.select(kid=None, algorithm="RS256")
    assert not keys.select(kid=None, algorithm="RS512")


def test_neither_secret_nor_key_shows_in_a_repr():
    assert "shared" not in repr(secret_keys(SECRET, ["HS256"]))
    assert "key_data" not in repr(jwks_keys(jwks(rsa_jwk()), RS256))


def entries(text: str) -> list[dict[str, Any]]:
    return json.loads(text)["keys"]


def test_a_set_has_one_spelling():
    one = jwks(rsa_jwk("k2", x5c=["MIIB"]), ec_jwk("e1"), rsa_jwk("k1"), {"kty": "NEW", "kid": "n"})
    other = jwks(rsa_jwk("k1"), rsa_jwk("k2", d="PRIVATE"), rsa_jwk("k1"), ec_jwk("e1"), rsa_jwk("k3", use="enc"))

    assert public_jwks(one) == public_jwks(other)
    assert public_jwks(public_jwks(one)) == public_jwks(one)
    assert "PRIVATE" not in public_jwks(other)


@pytest.mark.parametrize(
    "published", [public_jwks, lambda text: usable_jwks(text, RS256), lambda text: stamped_jwks(text, RS256)]
)
def test_a_published_set_holds_no_secret(published: Callable[[str], str]):
    with pytest.raises(UnusableKeys, match="symmetric"):
        published(jwks(rsa_jwk(), {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}))


@pytest.mark.parametrize(
    ("algorithms", "alg"), [(["RS256"], "RS256"), (["RS256", "ES256"], "RS256"), (["RS256", "PS256"], None)]
)
def test_a_key_without_an_algorithm_gets_the_only_one(algorithms: list[str], alg: str | None):
    (key,) = entries(usable_jwks(jwks(rsa_jwk()), algorithms))

    assert key.get("alg") == alg


def test_a_stamped_set_names_the_algorithm_of_every_entry():
    found = entries(
        stamped_jwks(jwks(rsa_jwk("k1"), ec_jwk("e1"), rsa_jwk("k2", alg="PS256")), ["RS256", "PS256", "ES256"])
    )

    assert sorted((key["kid"], key["alg"]) for key in found) == [
        ("e1", "ES256"), ("k1", "PS256"), ("k1", "RS256"), ("k2", "PS256"),
    ]  # fmt: skip


def test_what_is_usable_is_what_the_authorizer_takes():
    """Also of as many keys as there may be, each for several algorithms."""
    algorithms = ["RS256", "RS512", "PS256"]

    assert len(jwks_keys(usable_jwks(many(100), algorithms), algorithms).keys) == 100


@pytest.mark.parametrize(
    "broken",
    [
        rsa_jwk("k2", n="AQAB"),
        rsa_jwk("k2", n=7),
        rsa_jwk("k2", e=None),
        rsa_jwk("k2", kid=7),
        rsa_jwk("k2", kid="é" * 99),
    ],
)
def test_a_key_that_somebody_else_got_wrong_costs_itself(broken: dict[str, Any]):
    assert [key["kid"] for key in entries(usable_jwks(jwks(broken, rsa_jwk("k1")), RS256))] == ["k1"]
