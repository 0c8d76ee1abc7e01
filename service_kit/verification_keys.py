"""The keys of one issuer, prepared once: which algorithms each may verify is fixed here, never by a token.

An HMAC secret serves HMAC algorithms only, a JSON Web Key Set (RFC 7517) asymmetric ones only; private members of a
published key are dropped, symmetric keys in a set are refused, and keys that cannot verify are passed over.

Errors: UnusableKeys
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jwt import PyJWK
from jwt.algorithms import HMACAlgorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from service_kit.identity_part import UnusablePart, identity_part
from service_kit.strict_json import strict_object

MOST_KEYS: Final = 100
LARGEST_SET: Final = 1 << 20
SHORTEST_SECRET: Final = 32
HMAC: Final = frozenset({"HS256", "HS384", "HS512"})
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
# (kty, crv) -> what such a key can verify. RFC 7518 3.1, RFC 8037 3.1.
_CAPABLE: Final[Mapping[tuple[str, str | None], frozenset[str]]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
ASYMMETRIC: Final = frozenset[str]().union(*_CAPABLE.values())
# A modulus beyond this makes one verification cost as much as thousands of decisions.
_LARGEST_RSA: Final = 8192
_PUBLIC_MEMBERS: Final = frozenset({"kty", "crv", "n", "e", "x", "y"})
_MEANT_FOR: Final = frozenset({"kid", "alg", "use", "key_ops"})


class UnusableKeys(ValueError):  # noqa: N818 - a verdict on data that the authorizer maps to a NACK, and the compiler to a mistake
    """Keys that cannot be used; the message never quotes them."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key, bound to each algorithm that it may verify."""

    kid: str | None
    by_algorithm: Mapping[str, PyJWK] = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of an issuer; at least one."""

    keys: tuple[VerificationKey, ...]

    def select(self, *, kid: str | None, algorithm: str) -> tuple[VerificationKey, PyJWK] | None:
        """The one key that a token with this header must be signed with; among several, `kid` decides."""
        for key in self.keys:
            if self._named(key, kid) and algorithm in key.by_algorithm:
                return key, key.by_algorithm[algorithm]
        return None

    def _named(self, key: VerificationKey, kid: str | None) -> bool:
        if len(self.keys) == 1 and (kid is None or key.kid is None):
            return True
        return kid is not None and kid == key.kid


def secret_keys(secret: bytes, algorithms: Sequence[str]) -> KeySet:
    """The key set of a shared secret; UnusableKeys where it is short, or is really a public key."""
    if not HMAC.issuperset(algorithms):
        raise UnusableKeys("a secret serves HS256, HS384 and HS512 only: name no other algorithm, or give a JWKS")
    shortest = shortest_secret(algorithms)
    if len(secret) < shortest:
        raise UnusableKeys(f"the secret has {len(secret)} bytes, {', '.join(algorithms)} needs at least {shortest}")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)  # refuses PEM, DER, SSH and JWK texts
    except PyJWTError as error:
        raise UnusableKeys("the secret is a public key, a certificate or a JWK: everybody knows those") from error
    jwk = {"kty": "oct", "k": urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")}
    return KeySet((VerificationKey(None, {name: PyJWK(jwk, name) for name in algorithms}),))


def shortest_secret(algorithms: Sequence[str]) -> int:
    """Bytes that a secret for these HMAC algorithms must have: as many as the longest hash (RFC 7518 3.2)."""
    return max(SHORTEST_SECRET, *(int(name.removeprefix("HS")) // 8 for name in algorithms))


def jwks_keys(text: str, algorithms: Sequence[str]) -> KeySet:
    """The usable keys of a JSON Web Key Set; UnusableKeys where there is none or any is not what it seems."""
    if not ASYMMETRIC.issuperset(algorithms):
        raise UnusableKeys("a JWKS serves asymmetric algorithms only: name no HS256, HS384 or HS512, or give a secret")
    found = [_verification_key(jwk, index, algorithms) for index, jwk in enumerate(_members(text))]
    usable = tuple(key for key in found if key is not None)
    if not usable:
        raise UnusableKeys(f"no key of the JWKS can verify {', '.join(algorithms)}")
    if len(usable) > 1 and all(key.kid is None for key in usable):
        raise UnusableKeys("the JWKS has several keys and no `kid`: no token could name one")
    _refuse_twins(usable)
    return KeySet(usable)


def public_jwks(text: str) -> str:
    """What is public of the keys that can verify anything, in one spelling: by it two copies of a set are compared.

    UnusableKeys where it is no set, or holds a secret.
    """
    members = _members(text)
    for index, jwk in enumerate(members):
        _refuse_symmetric(jwk, index)
    return _set_of(_public(jwk) for jwk in members if _capable(jwk) and _verifies(jwk))


def usable_jwks(text: str, algorithms: Sequence[str]) -> str:
    """The keys that can verify these algorithms; `alg` says which one, where there is one only.

    A key that cannot be used costs itself alone: whoever reads of it is not who published it (RFC 7517, 5).
    UnusableKeys where none is left, or the set is refused as a whole.
    """
    found = _set_of(
        {**_public(jwk), **({"alg": next(iter(names))} if len(names := key.by_algorithm) == 1 else {})}
        for jwk, key in _usable(text, algorithms)
    )
    jwks_keys(found, algorithms)
    return found


def stamped_jwks(text: str, algorithms: Sequence[str]) -> str:
    """The same keys with one entry for each algorithm, which `alg` names: for who takes a key without it for any."""
    return _set_of({**_public(jwk), "alg": name} for jwk, key in _usable(text, algorithms) for name in key.by_algorithm)


# Any: JSON values, checked where they are used
def _usable(text: str, algorithms: Sequence[str]) -> Iterator[tuple[dict[str, Any], VerificationKey]]:
    for index, jwk in enumerate(_members(text)):
        _refuse_symmetric(jwk, index)
        try:
            key = _verification_key(jwk, index, algorithms)
        except UnusableKeys:
            continue
        if key is not None:
            yield jwk, key


def _public(jwk: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in jwk.items() if name in _PUBLIC_MEMBERS | _MEANT_FOR}


def _set_of(keys: Iterable[Mapping[str, object]]) -> str:
    """The keys, each once, in an order of their own."""
    texts = {json.dumps(key, sort_keys=True, separators=(",", ":")) for key in keys}
    return f'{{"keys":[{",".join(sorted(texts))}]}}'


def _members(text: str) -> list[dict[str, Any]]:  # Any: JSON values, checked where they are used
    if len(text.encode()) > LARGEST_SET:
        raise UnusableKeys(f"the JWKS is larger than {LARGEST_SET} bytes")
    try:
        keys = strict_object(text).get("keys")
    except ValueError as error:
        raise UnusableKeys("the JWKS is no JSON object, or repeats a member") from error
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise UnusableKeys('the JWKS has no list of objects under "keys"')
    if len(keys) > MOST_KEYS:
        raise UnusableKeys(f"the JWKS has {len(keys)} keys, {MOST_KEYS} is the most")
    return keys


def _verification_key(
    jwk: dict[str, Any],  # Any: JSON values, checked where they are used
    index: int,
    algorithms: Sequence[str],
) -> VerificationKey | None:
    """The prepared key, or None for one that is not meant for these algorithms (RFC 7517 5: ignore such keys)."""
    _refuse_symmetric(jwk, index)
    names = [name for name in algorithms if name in _capable(jwk)]
    if not names or not _verifies(jwk):
        return None
    public = {name: value for name, value in jwk.items() if name in _PUBLIC_MEMBERS}
    try:
        by_algorithm = {name: PyJWK(public, name) for name in names}
    except (PyJWTError, ValueError, TypeError, KeyError) as error:
        # The library's own text quotes the key.
        raise UnusableKeys(f"key {index} of the JWKS cannot be read as a {jwk['kty']} key") from error
    for name, key in by_algorithm.items():
        _refuse_weak(key, name, index)
    return VerificationKey(_kid(jwk, index), by_algorithm)


def _refuse_symmetric(jwk: Mapping[str, object], index: int) -> None:
    if jwk.get("kty") == "oct":
        raise UnusableKeys(f"key {index} of the JWKS is symmetric: a published set must not hold secrets")


def _capable(jwk: Mapping[str, object]) -> frozenset[str]:
    kty, curve, bound = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    if not isinstance(kty, str) or not (curve is None or isinstance(curve, str)):
        return frozenset()
    capable = _CAPABLE.get((kty, None if kty == "RSA" else curve), frozenset[str]())
    return capable if bound is None else capable.intersection({bound} if isinstance(bound, str) else ())


def _verifies(jwk: Mapping[str, object]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _refuse_weak(key: PyJWK, algorithm: str, index: int) -> None:
    if get_default_algorithms()[algorithm].check_key_length(key.key) is not None:
        raise UnusableKeys(f"key {index} of the JWKS is too short")
    if algorithm in _RSA and key.key.key_size > _LARGEST_RSA:
        raise UnusableKeys(f"key {index} of the JWKS is longer than {_LARGEST_RSA} bits")


def _kid(jwk: Mapping[str, object], index: int) -> str | None:
    kid = jwk.get("kid")
    if kid is None:
        return None
    if not isinstance(kid, str):
        raise UnusableKeys(f"key {index} of the JWKS has a `kid` that is no text")
    try:
        identity_part(kid)
    except UnusablePart as error:
        raise UnusableKeys(f"key {index} of the JWKS has a `kid` that {error}") from error
    return kid


def _refuse_twins(keys: Sequence[VerificationKey]) -> None:
    """Two keys that answer to the same name and algorithm would make the choice an accident."""
    seen: set[tuple[str | None, str]] = set()
    for key in keys:
        names = {(key.kid, algorithm) for algorithm in key.by_algorithm if key.kid is not None}
        if seen & names:
            raise UnusableKeys("two keys of the JWKS have the same `kid`")
        seen |= names
