"""Which key a token is minted for, and what keeps one from being minted."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import structlog
from prometheus_client import CollectorRegistry

from control_plane.config.load import load
from control_plane.keys.distribution import Distribution
from control_plane.keys.entries import ConsumerChange, ConsumerSpec, KeySpec
from control_plane.keys.errors import BadEntry, Conflict, NotFound
from control_plane.keys.stored import StoredIdentities
from control_plane.operations.tokens import MintedToken, MintSpec, TokenOperations
from control_plane.server.ads import Ads
from tests.support.clock import StillClock
from tests.support.compiled import config, written

DECLARED = "9zdNHj8RjVfD"
HASH = f"hmac-sha256:{'0' * 64}"
TOKENS = {"tokens": {"issuer": "https://gateway.example.com", "audiences": ["email"], "lifetime": "60s"}}
SOURCE = config(
    identity=TOKENS,
    plans={"small": {}, "large": {}},
    defaults={"plan": "small"},
    consumers=[
        {
            "name": "acme",
            "tenant": "acme-corp",
            "plan": "large",
            "keys": [{"id": DECLARED, "hash": HASH, "scopes": ["read"]}],
        },
        {"name": "late", "keys": [{"id": "0" * 12, "hash": HASH, "expires": "2001-01-01"}]},
    ],
)


@dataclass
class Desk:
    """The operations on one store, under a configuration that can be exchanged."""

    stored: StoredIdentities
    clock: StillClock
    live: Any

    @property
    def operations(self) -> TokenOperations:
        return TokenOperations(self.stored, lambda: self.live, self.clock, os.urandom)

    async def mint(
        self, consumer: str = "", key: str = "", scopes: tuple[str, ...] = (), lifetime: int = 0
    ) -> MintedToken:
        return await self.operations.mint(MintSpec(consumer, key, scopes, lifetime))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock, log, registry = StillClock(), structlog.get_logger(), CollectorRegistry()
    distribution = Distribution(Ads(clock=clock, log=log, registry=registry), clock, registry)
    stored = StoredIdentities(distribution, tmp_path, clock=clock, log=log, random_bytes=os.urandom, issues_tokens=True)
    live = load(written(tmp_path, SOURCE), {}).config
    assert await stored.prepare(live) == ()
    stored.follow(live)
    try:
        yield Desk(stored, clock, live)
    finally:
        await stored.close()


def claims(minted: MintedToken) -> dict[str, Any]:
    return jwt.decode(minted.token, options={"verify_signature": False})


async def test_a_declared_key_will_do(desk: Desk) -> None:
    minted = await desk.mint("acme")

    assert (minted.key, minted.scopes, minted.expires) == (DECLARED, ("read",), int(desk.clock.now()) + 60)
    assert {name: claims(minted).get(name) for name in ("plan", "tenant", "anywhere")} == {
        "plan": "large", "tenant": "acme-corp", "anywhere": True,
    }  # fmt: skip


async def test_a_key_for_some_addresses_is_not_good_from_everywhere(desk: Desk) -> None:
    spec = KeySpec("acme", allow_ips=("192.0.2.0/24",))
    key = (await desk.stored.identities.create_key(spec, by="ops")).key.id

    assert claims(await desk.mint(key=key))["anywhere"] is False


async def test_the_newest_key_that_holds_the_scopes_is_taken(desk: Desk) -> None:
    identities = desk.stored.identities
    made = []
    for scopes in (("read", "write"), ("write",), ("other",)):
        made.append((await identities.create_key(KeySpec("acme", scopes), by="ops")).key.id)
        desk.clock.advance(1)

    assert (await desk.mint("acme")).key == made[2]
    assert (await desk.mint("acme", scopes=("write",))).key == made[1]
    narrowed = await desk.mint("acme", scopes=("write", "read"))
    assert (narrowed.key, narrowed.scopes) == (made[0], ("read", "write"))
    assert (await desk.mint(key=made[0])).scopes == ("read", "write")
    await identities.revoke(made[1], by="ops")
    assert (await desk.mint("acme", scopes=("write",))).key == made[0]


async def test_a_stored_consumer_has_its_plan_or_the_default_one(desk: Desk) -> None:
    identities = desk.stored.identities
    await identities.create_consumer(ConsumerSpec("shop"), by="ops")
    key = (await identities.create_key(KeySpec("shop"), by="ops")).key.id
    assert claims(await desk.mint(key=key))["plan"] == "small"

    await identities.update_consumer("shop", ConsumerChange(plan="large"), by="ops")
    assert claims(await desk.mint(key=key))["plan"] == "large"


async def test_a_token_ends_with_its_key(desk: Desk) -> None:
    ends = int(desk.clock.now()) + 20
    key = (await desk.stored.identities.create_key(KeySpec("acme", expires=ends), by="ops")).key.id

    assert (await desk.mint(key=key)).expires == ends
    desk.clock.advance(20)
    with pytest.raises(NotFound, match="that works"):
        await desk.mint(key=key)


@pytest.mark.parametrize(
    ("spec", "kind", "complaint"),
    [
        pytest.param({}, BadEntry, "name a consumer, or a key", id="nobody"),
        pytest.param({"consumer": "nobody"}, NotFound, "has no key that works", id="no consumer"),
        pytest.param({"consumer": "late"}, NotFound, "has no key that works", id="ended"),
        pytest.param({"key": "x" * 12}, NotFound, "no stored key", id="no key"),
        pytest.param({"key": DECLARED, "consumer": "late"}, NotFound, "no key", id="another's"),
        pytest.param({"consumer": "acme", "scopes": ("write",)}, BadEntry, "does not hold 'write'", id="scope"),
        pytest.param({"consumer": "acme", "lifetime": 61}, BadEntry, "at most 60s", id="long"),
    ],
)
async def test_what_cannot_be_minted_is_said(desk: Desk, spec: dict[str, Any], kind: type, complaint: str) -> None:
    with pytest.raises(kind, match=complaint):
        await desk.mint(**spec)


async def test_a_gateway_without_tokens_mints_and_replaces_nothing(desk: Desk) -> None:
    desk.live = desk.live.model_copy(update={"identity": desk.live.identity.model_copy(update={"tokens": None})})
    desk.stored.follow(desk.live)

    for work in (desk.mint("acme"), desk.operations.replace_signing_keys()):
        with pytest.raises(Conflict, match="issues no tokens"):
            await work


async def test_a_token_is_for_the_models_of_its_key(desk: Desk) -> None:
    made = await desk.stored.identities.create_key(KeySpec("acme", models=("mistral", "a*")), by="ops")

    assert claims(await desk.mint(key=made.key.id))["models"] == ",a*,mistral,"
    assert "models" not in claims(await desk.mint(key=DECLARED))
