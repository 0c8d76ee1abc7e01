"""Whose rules count a call: plans, consumers in their place, tenants beside them, and routes that nothing counts."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream

# Each test has callers of its own; one without a consumer is the consumer of its name.
TOKENS: dict[str, dict[str, str]] = {
    "plain": {},
    "spent": {},
    "tried": {},
    "more": {"consumer": "more"},
    "trusted": {"consumer": "trusted"},
    "member": {"tenant": "acme", "consumer": "trusted"},
    "colleague": {"tenant": "acme", "consumer": "trusted"},
}


@pytest.fixture(scope="module")
def counting(upstream: Upstream) -> Iterator[Gateway]:
    tokens = [{"name": name, "token": f"a-bearer-token-of-{name}", "plan": "free", **of} for name, of in TOKENS.items()]
    config: dict[str, Any] = {
        "defaults": {"auth": ["bearer"]},
        "identity": {"bearer_tokens": tokens},
        "plans": {"free": {
            "limits": [{"requests": "7/day"}, {"requests": "1/day", "mode": "report"}],
            "quotas": [{"usage": "email", "amount": "2/month"}],
        }},
        "consumers": [
            {"name": "more", "quotas": [{"usage": "email", "amount": "3/month"}]},
            {"name": "trusted", "limits": "unlimited", "quotas": "unlimited"},
        ],
        "tenants": [{"name": "acme", "quotas": [{"usage": "requests", "amount": "10/month"}]}],
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [
            {"name": "email", "match": {"path": "/email"}, "upstream": "echo", "usage": "email"},
            {"name": "other", "match": {"path": "/other"}, "upstream": "echo"},
            {"name": "open", "match": {"path": "/open"}, "upstream": "echo", "limits": "unlimited"},
        ],
    }  # fmt: skip
    with running_gateway(config) as running:
        yield running


def calls(gateway: Gateway, path: str, name: str, times: int) -> list[httpx.Response]:
    with gateway.client() as client:
        headers = {"authorization": f"Bearer a-bearer-token-of-{name}"}
        return [client.get(path, headers=headers) for _ in range(times)]


def statuses(gateway: Gateway, path: str, name: str, times: int) -> list[int]:
    return [answer.status_code for answer in calls(gateway, path, name, times)]


def test_a_plans_rules_and_what_stands_in_their_place(counting: Gateway):
    """Two mails of seven calls: what a quota refuses is not counted by the limit, which refuses the eighth call."""
    assert statuses(counting, "/email", "plain", 3) == [200, 200, 402]
    assert statuses(counting, "/other", "plain", 6) == [200, 200, 200, 200, 200, 429]
    assert statuses(counting, "/email", "more", 4) == [200, 200, 200, 402]
    assert statuses(counting, "/other", "more", 5) == [200, 200, 200, 200, 429]
    assert statuses(counting, "/email", "trusted", 9) == [200] * 9
    assert statuses(counting, "/open", "plain", 3) == [200, 200, 200]


def test_a_spent_quota_says_which_and_until_when(counting: Gateway):
    *_, refused = calls(counting, "/email", "spent", 3)

    quota = refused.json()["error"]["quota"]
    assert (quota["rule"], quota["usage"], quota["used"], quota["limit"]) == (
        "plan/free:email:month:consumer", "email", 2, 2
    )  # fmt: skip
    assert quota["window"] == "month"
    assert quota["resets_at"].endswith("-01T00:00:00Z")


def test_a_tenant_is_counted_as_one_whoever_calls(counting: Gateway):
    answers = calls(counting, "/other", "member", 8)

    assert [answer.status_code for answer in answers] == [200] * 8
    assert "quota-warning" not in answers[6].headers
    assert (
        answers[7].headers["quota-warning"].startswith("tenant/acme:requests:month:tenant; used=8; limit=10; resets=")
    )
    assert statuses(counting, "/other", "colleague", 3) == [200, 200, 402]


def test_what_is_only_reported_passes_and_is_in_the_log(counting: Gateway):
    first, second = calls(counting, "/other", "tried", 2)

    rows = [counting.logged(answer.headers["x-request-id"]) for answer in (first, second)]
    assert [row["status"] for row in rows] == [200, 200]
    assert rows[0]["would_limit"] != rows[1]["would_limit"] == "plan/free:day:subject:report"
