"""Quotas of a running gateway: what a caller is told while they last and when they are spent, and what operators do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.audit import in_folder
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream
from tollgate_cli.main import app

FINE, FAILED, WRONG = 0, 1, 2
EMAILS, CALLS = "plan/small:email:month:consumer", "tenant/acme:requests:month:tenant"


@pytest.fixture(scope="module")
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    content = {
        "identity": {"bearer_tokens": [
            {"name": name, "token": f"the-token-of-{name}", "subject": name, "consumer": name, "tenant": "acme"}
            for name in ("declared", "other", "granted")
        ]},
        "plans": {"small": {"quotas": [{"usage": "email", "amount": "5/month"}]}},
        "consumers": [{"name": name, "tenant": "acme", "plan": "small"} for name in ("declared", "other", "granted")],
        "tenants": [{"name": "acme", "quotas": [{"usage": "requests", "amount": "1000/month"}]}],
        "upstreams": {"echo": {"url": upstream.url}},
        "routes": [{"name": "mail", "match": {"path": "/mail"}, "upstream": "echo", "auth": ["bearer"],
                    "usage": "email"}],
    }  # fmt: skip
    with running_gateway(content) as found:
        yield found


def mail(gateway: Gateway, who: str) -> httpx.Response:
    headers = {"authorization": f"Bearer the-token-of-{who}"}
    return httpx.get(f"{gateway.url}/mail", headers=headers, trust_env=False, verify=False, timeout=10)


def tollgate(gateway: Gateway, *arguments: str) -> Result:
    """A command in this process: there are many, and each would import for a second."""
    place = ("--state-dir", str(gateway.folder / "state"))
    return CliRunner().invoke(app, [*arguments, *place], env={"COLUMNS": "200"})


def quotas(gateway: Gateway, *arguments: str) -> dict[str, Any]:
    """States by quota."""
    done = tollgate(gateway, "quota", *arguments, "--json")
    assert done.exit_code == FINE, done.stderr
    return {state["quota"]: state for state in json.loads(done.stdout)["quotas"]}


def test_a_caller_is_warned_and_then_told_which_quota_is_spent(gateway: Gateway) -> None:
    passed = [mail(gateway, "declared") for _ in range(5)]
    refused = mail(gateway, "declared")

    assert [answer.status_code for answer in passed] == [200] * 5
    assert [("quota-warning" in answer.headers) for answer in passed] == [False, False, False, True, True]
    assert passed[3].headers["quota-warning"].startswith(f"{EMAILS}; used=4; limit=5; resets=20")
    assert refused.status_code == 402
    error = refused.json()["error"]
    assert error["code"] == "quota_exceeded"
    assert error["message"].startswith("The quota of 5 email per month for this consumer is used up: retry after 20")
    assert error["quota"].pop("resets_at").endswith("-01T00:00:00Z")
    assert error["quota"] == {"rule": EMAILS, "usage": "email", "used": 5, "limit": 5, "window": "month"}
    assert int(refused.headers["retry-after"]) > 0


def test_an_operator_sees_grants_and_resets(gateway: Gateway) -> None:
    for _ in range(6):
        mail(gateway, "granted")

    found = quotas(gateway, "list", "--consumer", "granted")
    assert set(found) == {EMAILS, CALLS}
    assert (found[EMAILS]["used"], found[EMAILS]["limit"], found[EMAILS]["per"]) == (5, 5, {"consumer": "granted"})
    assert found[CALLS]["per"] == {"tenant": "acme"}
    listed = tollgate(gateway, "quota", "list", "--consumer", "granted", "--usage", "email").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["QUOTA", "FOR"], [EMAILS, "consumer=granted"]]

    assert quotas(gateway, "grant", EMAILS, "1", "--consumer", "granted")[EMAILS]["granted"] == 1
    assert [mail(gateway, "granted").status_code for _ in range(2)] == [200, 402]

    assert quotas(gateway, "reset", EMAILS, "--consumer", "granted")[EMAILS]["used"] == 0
    assert [mail(gateway, "granted").status_code for _ in range(7)] == [200] * 6 + [402]
    told = [event for event in in_folder(gateway.folder / "state") if event.object == f"quota {EMAILS} of granted"]
    assert [(event.action, event.actor, event.result.value) for event in told] == [
        ("quota.grant", "admin", "done"), ("quota.reset", "admin", "done"),
    ]  # fmt: skip
    assert [((event.old or event.new or {})["quotas"][0]["used"]) for event in told] == [5, 6]


def test_the_same_over_http(gateway: Gateway) -> None:
    mail(gateway, "other")
    admin = {"authorization": f"Bearer {gateway.admin_token()}"}
    with httpx.Client(base_url=gateway.admin_url, trust_env=False, verify=False) as client:
        asked = {"consumer": "other", "quota": EMAILS}
        answers = [
            client.get("/quotas", params={"consumer": "other", "usage": "email"}, headers=admin),
            client.post("/quotas/grant", json={**asked, "amount": 3}, headers=admin),
            client.post("/quotas/reset", json=asked, headers=admin),
        ]
        refused = [
            client.get("/quotas", params={"consumer": "other"}),
            client.get("/quotas", params={"consumer": "nobody"}, headers=admin),
            client.post("/quotas/grant", json={**asked, "amount": 0}, headers=admin),
            client.post("/quotas/grant", json={**asked, "much": 1}, headers=admin),
        ]

    states = [answer.json()["quotas"][0] for answer in answers]
    assert [(state["used"], state["granted"]) for state in states] == [(1, 0), (1, 3), (0, 3)]
    assert [answer.status_code for answer in refused] == [401, 404, 400, 400]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["list"], WRONG, "name one of them", id="nobody"),
        pytest.param(["list", "--consumer", "nobody"], FAILED, "there is no consumer 'nobody'", id="no-consumer"),
        pytest.param(["list", "--plan", "gold"], FAILED, "no plan 'gold'", id="no-plan"),
        pytest.param(["reset", "none", "--tenant", "acme"], FAILED, f"there is: {CALLS}", id="no-quota"),
        pytest.param(["grant", CALLS, "much", "--tenant", "acme"], WRONG, "it is no number", id="no-number"),
        pytest.param(["grant", CALLS, "1.5", "--tenant", "acme"], WRONG, "a whole number", id="fraction"),
    ],
)
def test_what_cannot_be_done_says_why(gateway: Gateway, arguments: list[str], code: int, words: str) -> None:
    done = tollgate(gateway, "quota", *arguments)

    assert done.exit_code == code
    assert words in " ".join(done.stderr.split())


def test_without_a_gateway_there_is_nothing_to_ask(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["quota", "list", "--tenant", "acme", "--state-dir", str(tmp_path)])

    assert (done.exit_code, "no gateway runs" in done.stderr) == (FAILED, True)
