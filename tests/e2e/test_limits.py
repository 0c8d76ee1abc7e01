"""Limits under concurrency, through the whole gateway: exactly as many calls pass as the limit says."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import TOKEN
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream

OTHER = "a-bearer-token-of-another-subject"


@pytest.fixture(scope="module")
def limited(upstream: Upstream) -> Iterator[Gateway]:
    """Counters of its own: an hour's limit outlasts the test that uses it up."""
    config = {
        "defaults": {"auth": ["bearer"]},
        "identity": {
            "bearer_tokens": [
                {"name": "one", "token": TOKEN, "tenant": "acme", "plan": "small"},
                {"name": "other", "token": OTHER, "tenant": "acme", "plan": "small"},
            ]
        },
        "plans": {"small": {"limits": [{"requests": "70/hour", "per": "tenant"}]}},
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [
            {"name": "public", "match": {"path": "/public"}, "upstream": "echo", "auth": "none",
             "limits": [{"requests": "50/hour", "per": "route"}]},
            {"name": "narrow", "match": {"path": "/narrow"}, "upstream": "echo",
             "limits": [{"requests": "20/hour", "per": "subject"}]},
            {"name": "wide", "match": {"path": "/wide"}, "upstream": "echo"},
        ],
    }  # fmt: skip
    with running_gateway(config) as running:
        yield running


async def statuses(gateway: Gateway, path: str, token: str, *, calls: int) -> Counter[int]:
    """How often each status came back from so many calls at once."""
    limits = httpx.Limits(max_connections=50)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=gateway.url, limits=limits, timeout=30, trust_env=False) as client:
        answers = await asyncio.gather(*(client.get(path, headers=headers) for _ in range(calls)))
    return Counter(answer.status_code for answer in answers)


async def test_a_burst_of_200_passes_exactly_50_times(limited: Gateway):
    assert await statuses(limited, "/public", TOKEN, calls=200) == {200: 50, 429: 150}


async def test_a_call_that_one_limit_refuses_costs_the_other_nothing(limited: Gateway):
    """The tenant's 70 are what both subjects share: 20 each on the narrow route leave 30, however many were refused."""
    narrow = [await statuses(limited, "/narrow", token, calls=60) for token in (TOKEN, OTHER)]
    wide = await asyncio.gather(*(statuses(limited, "/wide", token, calls=40) for token in (TOKEN, OTHER)))

    assert narrow == [{200: 20, 429: 40}] * 2
    assert sum(wide, Counter()) == {200: 30, 429: 50}
