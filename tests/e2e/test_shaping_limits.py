"""Limits that each Envoy keeps by itself, what a call costs, and edits that must not open a gap."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import TOKEN
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream

OTHER = "a-bearer-token-of-another-subject"
PLANNED = "a-bearer-token-with-a-plan"


def here(requests: str, per: str | list[str] = "subject") -> dict[str, Any]:
    return {"requests": requests, "per": per, "scope": "instance"}


def configuration(upstream: Upstream, *more: dict[str, Any]) -> dict[str, Any]:
    dimensions = ("subject", "tenant", "consumer", "ip", "route")
    return {
        "defaults": {"auth": ["bearer"]},
        "identity": {
            "bearer_tokens": [
                {"name": "one", "token": TOKEN, "tenant": "acme"},
                {"name": "other", "token": OTHER},
                {"name": "planned", "token": PLANNED, "plan": "small"},
            ]
        },
        "plans": {"small": {"limits": [here("5/hour"), here("1000/hour", "route")]}},
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [
            *({"name": f"per-{word}", "match": {"path": f"/per-{word}"}, "upstream": "echo",
               "limits": [here("2/hour", word)]} for word in dimensions),
            {"name": "public", "match": {"path": "/public"}, "upstream": "echo", "auth": "none",
             "limits": [here("20/hour", "route")]},
            {"name": "hosted", "match": {"path": "/hosted", "hosts": ["api.example.com"]}, "upstream": "echo",
             "auth": "none"},
            {"name": "both", "match": {"path": "/both"}, "upstream": "echo",
             "limits": [here("2/hour"), {"requests": "100/hour"}]},
            {"name": "dear", "match": {"path": "/dear"}, "upstream": "echo", "cost": 3,
             "limits": [{"requests": "10/hour"}]},
            {"name": "dear-here", "match": {"path": "/dear-here"}, "upstream": "echo", "cost": 3,
             "limits": [here("10/hour")]},
            {"name": "tried-here", "match": {"path": "/tried-here"}, "upstream": "echo",
             "limits": [{**here("1/hour"), "mode": "report"}]},
            {"name": "planned", "match": {"path": "/planned/*"}, "upstream": "echo"},
            {"name": "planned-dear", "match": {"path": "/planned/dear"}, "upstream": "echo", "cost": 2},
            {"name": "open", "match": {"path": "/open"}, "upstream": "echo", "auth": "none"},
            *more,
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def limited(upstream: Upstream) -> Iterator[Gateway]:
    """Buckets of its own: an hour's limit outlasts the test that uses it up."""
    with running_gateway(configuration(upstream)) as running:
        yield running


def calls(gateway: Gateway, path: str, times: int, token: str = TOKEN, **headers: str) -> list[httpx.Response]:
    with gateway.client() as client:
        return [client.get(path, headers={"authorization": f"Bearer {token}", **headers}) for _ in range(times)]


def statuses(*args: Any, **headers: str) -> list[int]:
    return [answer.status_code for answer in calls(*args, **headers)]


@pytest.mark.parametrize(
    ("dimension", "others"),
    [
        pytest.param("subject", [200, 200, 429], id="subject"),
        pytest.param("tenant", [200, 200, 429], id="tenant: none counts as one"),
        pytest.param("consumer", [200, 200, 429], id="consumer"),
        pytest.param("ip", [429, 429, 429], id="ip"),
        pytest.param("route", [429, 429, 429], id="route"),
    ],
)
def test_whatever_is_counted_is_counted(limited: Gateway, dimension, others):
    """The first caller uses up two; the other shares its address and the route, and nothing else."""
    path = f"/per-{dimension}"

    assert statuses(limited, path, 3) == [200, 200, 429]
    assert statuses(limited, path, 3, OTHER) == others


def test_what_is_only_reported_passes_and_is_a_metric(limited: Gateway):
    assert statuses(limited, "/tried-here", 3) == [200, 200, 200]

    metric = r"envoy_tollgate_instance_limits_http_local_rate_limit_shadow_mode\S* 2"
    until(
        lambda: (
            re.search(metric, httpx.get(f"{limited.admin_url}/metrics", trust_env=False, verify=False).text) is not None
        )
    )


def test_a_refusal_is_in_our_shape_and_says_when(limited: Gateway):
    *_, refused = calls(limited, "/both", 3)

    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limited"
    # a bucket of two an hour has one more in half an hour
    assert 1790 <= int(refused.headers["retry-after"]) <= 1800
    assert (refused.headers["x-ratelimit-limit"], refused.headers["x-ratelimit-remaining"]) == ("2", "0")
    row = limited.logged(refused.headers["x-request-id"])
    assert (row["details"], row["subject"]) == ("local_rate_limited", "one")


def test_what_is_refused_here_costs_the_fleet_nothing(limited: Gateway):
    """Two of a hundred were taken, whatever was refused meanwhile."""
    answers = calls(limited, "/both", 4, OTHER)

    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[1].headers["ratelimit-remaining"] == "98"


async def test_a_burst_passes_as_often_as_the_limit_says_under_every_host_name(limited: Gateway):
    async with httpx.AsyncClient(base_url=limited.url, trust_env=False, timeout=30) as client:
        hosts = ["api.example.com", "else.example.com"] * 40
        answers = await asyncio.gather(*(client.get("/public", headers={"host": host}) for host in hosts))

    assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 60}


@pytest.mark.parametrize("path", [pytest.param("/dear", id="fleet"), pytest.param("/dear-here", id="instance")])
def test_a_call_takes_what_it_costs(limited: Gateway, path):
    answers = calls(limited, path, 4)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    header = "ratelimit-remaining" if path == "/dear" else "x-ratelimit-remaining"
    assert [answer.headers[header] for answer in answers] == ["7", "4", "1", "1"]


def test_a_plan_is_one_bucket_for_all_routes(limited: Gateway):
    """Five an hour: two for the dear call, one for each other."""
    dear = statuses(limited, "/planned/dear", 1, PLANNED)
    cheap = statuses(limited, "/planned/x", 2, PLANNED)
    hosted = statuses(limited, "/planned/x", 2, PLANNED, host="api.example.com")

    assert dear + cheap + hosted == [200, 200, 200, 200, 429]
    assert statuses(limited, "/planned/x", 6, OTHER) == [200] * 6


@pytest.fixture
def editable(upstream: Upstream) -> Iterator[Gateway]:
    with running_gateway(configuration(upstream)) as running:
        yield running


def edit(gateway: Gateway, config: Mapping[str, Any], path: str) -> None:
    """Writes the configuration and waits until a route of it, asked on connections of its own, is there."""
    gateway.write(config)
    until(lambda: httpx.get(f"{gateway.url}{path}", trust_env=False, verify=False).status_code == 200)


def test_an_edit_of_routes_gives_nobody_a_new_bucket(editable: Gateway, upstream: Upstream):
    before = statuses(editable, "/per-subject", 3)
    edit(editable, configuration(upstream, {"name": "new", "match": {"path": "/new"}, "upstream": "echo",
                                            "auth": "none"}), "/new")  # fmt: skip

    assert before + statuses(editable, "/per-subject", 1) == [200, 200, 429, 429]


def test_the_first_rule_of_its_kind_holds_for_open_connections(editable: Gateway, upstream: Upstream):
    """A connection keeps the filters that it began with; those that refuse are there before a route needs them."""
    config = configuration(upstream, {"name": "new", "match": {"path": "/new"}, "upstream": "echo", "auth": "none"})
    route = next(item for item in config["routes"] if item["name"] == "open")
    with editable.client() as client:
        assert client.post("/open", content=b"[]").status_code == 200
        edit(editable, config | {"routes": [*config["routes"]]}, "/new")
        route["request_body"] = {"merge": {"a": 1}}
        config["routes"][-1] = {**config["routes"][-1], "name": "newer", "match": {"path": "/newer"}}
        edit(editable, config, "/newer")
        guarded = client.post("/open", content=b"[]", headers={"content-type": "application/json"})
        del route["request_body"]
        route["allow_ips"] = ["10.0.0.0/8"]
        config["routes"][-1] = {**config["routes"][-1], "name": "newest", "match": {"path": "/newest"}}
        edit(editable, config, "/newest")
        refused = client.post("/open", content=b"[]")

    assert (guarded.status_code, refused.status_code) == (400, 403)
