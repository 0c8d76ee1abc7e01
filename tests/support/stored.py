"""Stored keys and consumers with the operations on them, and services that are told of them or do not answer."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from control_plane.config.load import load
from control_plane.keys.distribution import Distribution
from control_plane.keys.stored import StoredIdentities
from control_plane.operations.identities import IdentityOperations
from control_plane.operations.tokens import TokenOperations
from control_plane.server.ads import Ads
from service_kit.clock import Clock
from tests.support.compiled import written

# A consumer that the configuration declares, and a plan.
DECLARED = {
    "version": 1,
    "listeners": {"public": {"address": "127.0.0.1:8800"}},
    "consumers": [{"name": "declared"}],
    "plans": {"small": {}},
}


@dataclass(frozen=True)
class Store:
    """A store at work, and what operators do with it."""

    stored: StoredIdentities
    operations: IdentityOperations
    registry: CollectorRegistry
    ads: Ads


@asynccontextmanager
async def stored_in(folder: Path, clock: Clock) -> AsyncIterator[Store]:
    """A store in this folder, beside a configuration that is live."""
    registry, log = CollectorRegistry(), structlog.get_logger()
    ads = Ads(clock=clock, log=log, registry=registry)
    distribution = Distribution(ads, clock, registry)
    stored = StoredIdentities(distribution, folder, clock=clock, log=log, random_bytes=os.urandom)
    declared = load(written(folder, DECLARED), {}).config
    assert await stored.prepare(declared) == ()
    stored.follow(declared)
    try:
        tokens = TokenOperations(stored, lambda: declared, clock, os.urandom)
        yield Store(stored, IdentityOperations(stored, tokens, clock, registry), registry, ads)
    finally:
        await stored.close()
