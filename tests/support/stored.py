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


TOKENS = {"issuer": "https://gateway.example.com", "audiences": ["email"]}


@dataclass(frozen=True)
class Store:
    """A store at work, and what operators do with it."""

    stored: StoredIdentities
    operations: IdentityOperations
    registry: CollectorRegistry
    ads: Ads


@asynccontextmanager
async def stored_in(folder: Path, clock: Clock, *, issues_tokens: bool = False) -> AsyncIterator[Store]:
    """A store in this folder, beside a configuration that is live."""
    registry, log = CollectorRegistry(), structlog.get_logger()
    ads = Ads(clock=clock, log=log, registry=registry)
    distribution = Distribution(ads, clock, registry)
    stored = StoredIdentities(
        distribution, folder, clock=clock, log=log, random_bytes=os.urandom, issues_tokens=issues_tokens
    )
    source = {**DECLARED, "identity": {"tokens": TOKENS}} if issues_tokens else DECLARED
    declared = load(written(folder, source), {}).config
    assert await stored.prepare(declared) == ()
    stored.follow(declared)
    try:
        tokens = TokenOperations(stored, lambda: declared, clock, os.urandom)
        yield Store(stored, IdentityOperations(stored, tokens, clock, registry), registry, ads)
    finally:
        await stored.close()
