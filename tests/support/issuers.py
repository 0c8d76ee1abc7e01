"""Issuers of tokens for gateways under test: keys that are made once a run, key sets in files, tokens good or not."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jwt.algorithms import Algorithm, ECAlgorithm, RSAAlgorithm, RSAPSSAlgorithm

from tests.support.authz import ec_jwk, ec_key, rsa_jwk, rsa_key

ACCOUNTS = "https://accounts.example.com"
PARTNER = "https://partner.example.com"
AUDIENCE = "gateway"
# What claims of the partner are called; a name with dots is one name.
USER, PERMISSIONS, TIER = (f"https://partner.example.com/{name}" for name in ("user", "permissions", "tier"))
SIGNERS: dict[str, Algorithm] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
}


def issuers(folder: Path, enforce: str) -> list[dict[str, Any]]:
    """Two issuers: one with several keys and plain claims, one with a single key and everything else it may say."""
    sets = {"accounts": (rsa_jwk("k1"), rsa_jwk("k2"), ec_jwk("e1")), "partner": (rsa_jwk("p1"),)}
    for name, keys in sets.items():
        (folder / f"{name}.json").write_text(json.dumps({"keys": keys}))
    return [
        {
            "name": "accounts", "issuer": ACCOUNTS, "audiences": [AUDIENCE, "other"], "algorithms": ["RS256", "ES256"],
            "keys": {"file": str(folder / "accounts.json")}, "enforce": enforce,
            "claims": {"tenant": "org", "plan": "plan"},
        },
        {
            "name": "partner", "issuer": PARTNER, "audiences": [AUDIENCE], "algorithms": ["PS256"],
            "keys": {"file": str(folder / "partner.json")}, "enforce": enforce, "type": "at+jwt",
            "leeway": "30s", "max_lifetime": "10m",
            "claims": {"subject": USER, "plan": TIER, "scopes": PERMISSIONS, "roles": "groups"},
        },
    ]  # fmt: skip


def as_long_as_the_tests() -> int:
    """The end of a token that a module makes when it is read: its tests may run long after."""
    return int(time.time()) + 3600


def token(header: Mapping[str, object] | None = None, key: str = "k1", **claims: object) -> str:
    """A token of the first issuer, good but for the changes; what is changed to None is left out."""
    now = int(time.time())
    good = {"iss": ACCOUNTS, "aud": AUDIENCE, "sub": "ada", "iat": now - 10, "exp": now + 600}
    whole = _present({"alg": "RS256", "kid": "k1", **(header or {})})
    return signed(whole, json.dumps(_present({**good, **claims})), key)


def partner_token(header: Mapping[str, object] | None = None, **claims: object) -> str:
    """A token of the second issuer, good but for the changes."""
    now = int(time.time())
    good = {"iss": PARTNER, "aud": [AUDIENCE], USER: "grace", "iat": now - 10, "exp": now + 500}
    whole = _present({"alg": "PS256", "kid": "p1", "typ": "at+jwt", **(header or {})})
    return signed(whole, json.dumps(_present({**good, **claims})), "p1")


def spelt(payload: str, **header: object) -> str:
    """A token of the first issuer whose claims are this JSON, after those that it needs."""
    return signed(
        {"alg": "RS256", "kid": "k1", **header},
        f'{{"iss":"{ACCOUNTS}","aud":"{AUDIENCE}","sub":"ada","exp":{int(time.time()) + 600},{payload}}}',
        "k1",
    )


def signed(header: Mapping[str, object], payload: str, key: str) -> str:
    """Signed as the header says, where it says something that can be done; by RS256 else."""
    signing_input = f"{_segment(json.dumps(header))}.{_segment(payload)}"
    algorithm = str(header.get("alg"))
    signer = SIGNERS.get(algorithm, SIGNERS["RS256"])
    private = ec_key() if algorithm.startswith("ES") else rsa_key(key)
    return f"{signing_input}.{_segment(signer.sign(signing_input.encode(), private))}"


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _segment(data: str | bytes) -> str:
    return urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()
