"""What the signing keys of one gateway promise, on each database, also where several control planes share it."""

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from control_plane.config.model import Config, Identity, Listener, Tokens
from control_plane.keys.distribution import Distribution
from control_plane.keys.errors import Conflict
from control_plane.keys.signing.keys import SigningKeys
from control_plane.keys.signing.ring import ANNOUNCED, OUTLIVED, SIGNS_FOR
from control_plane.server.ads import Ads
from service_kit.contract import SIGNING_KEYS_NAME, SIGNING_KEYS_TYPE
from tests.support.clock import StillClock
from tests.support.eventually import eventually
from tests.support.identities import PEPPER, opened
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

TOKENS = Tokens(issuer="https://gateway.example.com", audiences=("email",))
WITHOUT = Config(version=1, listeners={"public": Listener(address="127.0.0.1:8800")})
WITH = WITHOUT.model_copy(update={"identity": Identity(tokens=TOKENS)})


@pytest.fixture
def clock():
    return StillClock()


class Plane:
    """What one control plane tells its authorizers, and which keys it says that it made unasked."""

    def __init__(self, signing, distribution, turned):
        self.signing = signing
        self.turned = turned
        self._distribution = distribution

    @property
    def told(self):
        """Numbers of the keys; None where nothing was said."""
        item = self._distribution.snapshot.of(SIGNING_KEYS_TYPE).get(SIGNING_KEYS_NAME)
        if item is None:
            return None
        return [key.private_key for key in policy_pb.SigningKeys.FromString(item.body).keys]


@asynccontextmanager
async def plane(url, clock, pepper=PEPPER, config=WITH):
    log, registry = structlog.get_logger(), CollectorRegistry()
    distribution = Distribution(Ads(clock=clock, log=log, registry=registry), clock, registry)
    turned = []
    signing = SigningKeys(
        distribution, clock=clock, log=log, random_bytes=os.urandom, has_endpoint=True, turned=turned.extend
    )
    async with opened(url, clock) as identities:
        signing.keep_in(identities, pepper)
        signing.follow(config)
        work = asyncio.create_task(signing.run())
        try:
            yield Plane(signing, distribution, turned)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def test_a_key_is_there_as_soon_as_tokens_are_wanted(url, clock):
    async with plane(url, clock, config=WITHOUT) as one:
        await eventually(lambda: one.told == [])
        with pytest.raises(Conflict, match="issues no tokens"):
            await one.signing.replace()

        one.signing.follow(WITH)
        await eventually(lambda: len(one.told) == 1)
        one.signing.follow(WITHOUT)
        assert one.told == []


async def test_the_key_is_the_same_for_the_next_process(url, clock):
    async with plane(url, clock) as one:
        await eventually(lambda: one.told)
        before = one.told
    async with plane(url, clock) as another:
        await eventually(lambda: another.told)

        assert another.told == before


async def test_keys_turn_by_themselves(url, clock):
    async with plane(url, clock) as one:
        (first,) = await one.signing.current()
        clock.advance(SIGNS_FOR - ANNOUNCED)
        one.signing.follow(WITH)
        await eventually(lambda: len(one.told) == 2)
        old, new = one.signing.ring
        assert (old, new.signs_from) == (first, first.signs_from + SIGNS_FOR)
        assert one.turned == [first.id, new.id]

        clock.advance(ANNOUNCED + OUTLIVED)
        one.signing.follow(WITH)
        await eventually(lambda: one.told == [new.number])


async def test_control_planes_on_one_database_share_their_keys(url, clock):
    planes = [url] if url.startswith("sqlite") else [url] * 3  # a file has one writer
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(plane(one, clock)) for one in planes]
        await eventually(lambda: all(one.told for one in found))
        assert len({one.signing.ring for one in found}) == 1

        fresh = await found[0].signing.replace()
        for one in found:
            one.signing.follow(WITH)
        await eventually(lambda: all(one.signing.ring == fresh for one in found))
        assert sum(len(one.turned) for one in found) == 1


async def test_keys_under_another_pepper_are_made_anew_and_that_is_said(url, clock):
    async with plane(url, clock) as one:
        await eventually(lambda: one.told)
        before = one.told
    with capture_logs() as logged:
        async with plane(url, clock, pepper=PEPPER[::-1]) as another:
            await eventually(lambda: another.told)

            assert another.told != before
    assert [line["reason"] for line in logged if line["event"] == "signing keys are made anew"] == [
        "the signing keys were sealed under another pepper, or are damaged"
    ]
    assert not any(number.hex() in str(logged) for number in before)


async def test_what_replaces_the_keys_is_told_at_once(url, clock):
    async with plane(url, clock) as one:
        (before,) = await one.signing.current()
        clock.advance(1)
        (after,) = await one.signing.replace()

        assert after != before
        assert one.told == [after.number]


def test_without_an_endpoint_such_a_configuration_is_refused(clock):
    log, registry = structlog.get_logger(), CollectorRegistry()
    distribution = Distribution(Ads(clock=clock, log=log, registry=registry), clock, registry)
    signing = SigningKeys(distribution, clock=clock, log=log, random_bytes=os.urandom, has_endpoint=False)

    (problem,) = signing.problems(WITH)
    assert "--oauth" in problem.cure
    assert signing.problems(WITHOUT) == ()
