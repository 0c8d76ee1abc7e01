"""The ground of the gateway suites: one upstream that nothing outruns, one issuer, one token for every variant."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from bench.envoys import running_envoy, written_bootstrap
from bench.suite import Ground
from service_kit.clock import Clock, SystemClock
from service_kit.settings import environment
from tests.support.ports import free_port
from tollgate_cli.supervisor.envoy import envoy_binary

ISSUER = "https://accounts.example.com"
AUDIENCE = "gateway"
ALGORITHM = "RS256"
SUBJECT = "ada"
KEY_ID = "bench"
# Longer than any run, shorter than what a gateway might refuse.
TOKEN_SECONDS = 3600
BODY = json.dumps({"answer": "x" * 1000}).encode()


@contextmanager
def gateway_ground() -> Iterator[Ground]:
    """The upstream is an Envoy that answers by itself; it is gone afterwards, and so are all files."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))  # short: socket paths have a limit
    try:
        jwks, token = issued(folder)
        binary, port = envoy_binary(environment()), free_port()
        bootstrap = written_bootstrap(folder, "upstream", "upstream.yaml", {"PORT": port, "BODY": BODY.decode()})
        with running_envoy(binary, bootstrap):
            yield Ground(folder, binary, port, BODY, jwks, token)
    finally:
        shutil.rmtree(folder)


def issued(folder: Path) -> tuple[Path, str]:
    """The key set of a new issuer, and a token of it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [_public(key)]}), encoding="utf-8")
    return jwks, _token(key, SystemClock())


def issuer(jwks: Path, enforce: str) -> dict[str, Any]:
    """The issuer of the configuration, judged by one of the two."""
    return {
        "name": "accounts", "issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": [ALGORITHM],
        "keys": {"file": str(jwks)}, "enforce": enforce,
    }  # fmt: skip


def _public(key: rsa.RSAPrivateKey) -> dict[str, object]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KEY_ID, "alg": ALGORITHM, "use": "sig"}


def _token(key: rsa.RSAPrivateKey, clock: Clock) -> str:
    now = int(clock.now())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + TOKEN_SECONDS}
    return jwt.encode(claims, key, ALGORITHM, {"kid": KEY_ID})
