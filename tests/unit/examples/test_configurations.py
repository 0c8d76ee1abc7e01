"""The examples are what they say: they compile, Envoy takes them; one is short, one has every key of the language."""

import json
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import envoy_verdict
from tests.support.certificates import certificates
from tests.support.compiled import WIRING
from tests.support.envoy import ROOT, envoy_binary
from tests.support.keys import keys_missing

EXAMPLES = ROOT / "examples"
ENVIRON = {
    "GATEWAY_BEARER_TOKEN": "a-bearer-token-for-tests",
    "JWT_SECRET": "an-hmac-secret-of-at-least-thirty-two-bytes",
    "TOLLGATE_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-bytes",
    "VENDOR_API_KEY": "a-key-of-a-vendor",
}


@pytest.mark.parametrize("name", ["minimal.yaml", "complete.yaml"])
async def test_examples_compile_and_envoy_accepts_them(name: str, tmp_path: Path) -> None:
    file = _with_its_files(EXAMPLES / name, tmp_path)

    envoy, _ = snapshots(compile_file(file, ENVIRON).gateway, WIRING)

    verdict = await envoy_verdict(envoy, envoy_binary())
    assert verdict.accepted, verdict.reason


def test_the_minimal_example_is_short() -> None:
    assert len((EXAMPLES / "minimal.yaml").read_text().splitlines()) <= 15


def test_the_complete_example_has_every_key() -> None:
    assert keys_missing([EXAMPLES / "complete.yaml"]) == set()


def _with_its_files(example: Path, folder: Path) -> Path:
    """A copy beside certificates and public keys that are fit for it."""
    (folder / "tls").mkdir()
    certificates(folder / "tls")
    key = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
    (folder / "tls" / "jwks.json").write_text(json.dumps({"keys": [{**key, "kid": "1", "alg": "RS256"}]}))
    return Path(shutil.copy(example, folder))
