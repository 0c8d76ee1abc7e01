"""An Envoy alone, which was told that some of the gateway's own tokens are in doubt: it vouches for the others."""

import os
from collections.abc import Iterator

import httpx
import pytest
import yaml

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from control_plane.xds.filters.native.own import Doubts, content
from service_kit.gateway_tokens import drawn_signing_key, public_keys
from tests.e2e.test_own_tokens import KEYS, claims, config, later
from tests.support.compiled import WIRING
from tests.support.envoy import static_envoy
from tests.support.own_tokens import signed_by, with_filters
from tests.support.ports import free_port
from tests.support.upstream import Upstream

DOUBTED_BEFORE = 100  # seconds ago
SIGNER = drawn_signing_key(0, os.urandom)
IN_DOUBT = {
    "none": ({}, True),
    "its-key": ({"key_id": KEYS["taken"].id}, False),
    "its-consumer": ({"consumer": "doubted", "sub": "doubted"}, False),
    "when-it-was-issued": ({"iat": -DOUBTED_BEFORE - 20, "nbf": None}, False),
    "issued-a-little-later": ({"iat": -DOUBTED_BEFORE + 20, "nbf": None}, True),
    "not-issued-at-all": ({"iat": None}, False),
}


@pytest.fixture(scope="module")
def alone(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An Envoy without any other process, which was told of such tokens."""
    folder = tmp_path_factory.mktemp("alone")
    port, file = free_port(), folder / "gateway.yaml"
    listeners = {"version": 1, "listeners": {"public": {"address": f"127.0.0.1:{port}"}}}
    file.write_text(yaml.safe_dump({**config(folder, upstream.url, "envoy"), **listeners}))
    gateway = compile_file(file, {}).gateway
    doubts = Doubts((KEYS["far"].id, KEYS["taken"].id), ("doubted", "others"), later(-DOUBTED_BEFORE))
    bootstrap = with_filters(
        static_bootstrap(snapshots(gateway, WIRING)[0]), content(gateway, public_keys([SIGNER]), doubts)
    )
    with static_envoy(bootstrap, folder):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("name", IN_DOUBT)
def test_envoy_vouches_for_no_token_that_is_in_doubt(alone: str, name: str) -> None:
    changes, vouched = IN_DOUBT[name]
    at = {**changes, "iat": later(changes["iat"])} if isinstance(changes.get("iat"), int) else changes
    with httpx.Client(base_url=alone, timeout=30, trust_env=False, verify=False) as client:
        answer = client.get(
            "/any", headers={"authorization": f"Bearer {signed_by(SIGNER, claims(**at, exp=later(60)))}"}
        )

    assert answer.status_code == (200 if vouched else 503), answer.text
