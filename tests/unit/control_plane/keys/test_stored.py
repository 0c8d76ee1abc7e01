"""Which store a process works with: that of the first configuration that went live."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry

from control_plane.config import model
from control_plane.keys.distribution import Distribution
from control_plane.keys.entries import ConsumerSpec
from control_plane.keys.stored import StoredIdentities
from control_plane.server.ads import Ads
from control_plane.snapshot import EMPTY
from service_kit.contract import CONSUMER_TYPE
from tests.support.clock import StillClock
from tests.support.compiled import compiled, config


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[StoredIdentities]:
    clock, log, registry = StillClock(), structlog.get_logger(), CollectorRegistry()
    distribution = Distribution(Ads(clock=clock, log=log, registry=registry), clock, registry)
    found = StoredIdentities(distribution, tmp_path, clock=clock, log=log, random_bytes=os.urandom)
    yield found
    await found.close()


def source(folder: Path, name: str, **changes: object) -> model.Config:
    store = f"sqlite://{folder}/{name}.db"
    return compiled(config(identity={"api_keys": {"store": store}}, **changes)).loaded.config


async def test_a_configuration_that_never_went_live_fixes_no_store(stored: StoredIdentities, tmp_path: Path) -> None:
    """It may be refused for another reason, and the last good one names another store."""
    first, second = source(tmp_path, "first"), source(tmp_path, "second")
    assert await stored.prepare(first) == ()

    assert await stored.prepare(second) == ()
    stored.follow(second)

    assert stored.identities.place == f"{tmp_path}/second.db"
    (problem,) = await stored.prepare(first)
    assert "another store than the running one" in problem.message
    assert await stored.prepare(second) == ()


async def test_a_store_that_cannot_be_used_leaves_the_one_before(stored: StoredIdentities, tmp_path: Path) -> None:
    good = source(tmp_path, "good")
    assert await stored.prepare(good) == ()
    keys = {"store": "postgresql://a@b/c?unknown=1", "pepper": "p" * 32}
    await stored.prepare(compiled(config(identity={"api_keys": keys})).loaded.config)

    assert await stored.prepare(good) == ()
    stored.follow(good)
    await stored.identities.create_consumer(ConsumerSpec("acme"), by="ops")


async def test_nothing_is_told_of_a_store_before_its_configuration_is_live(
    stored: StoredIdentities, tmp_path: Path
) -> None:
    live = source(tmp_path, "live")
    await stored.prepare(live)
    await stored.identities.create_consumer(ConsumerSpec("acme"), by="ops")
    assert stored.distribution.snapshot is EMPTY

    stored.follow(live)
    assert list(stored.distribution.snapshot.of(CONSUMER_TYPE)) == ["acme"]
