"""Mistakes of meaning: what is refused, and what only looks like one. The golden cases show the full messages."""

from typing import Any

import pytest

from control_plane.config.errors import InvalidConfig
from tests.support.compiled import IDENTITY, TOKEN, compiled, config, private, route

LIMIT = {"requests": "60/minute", "per": "ip"}


def mistakes(**changes: Any) -> list[str]:
    """The paths of the mistakes in this configuration."""
    try:
        compiled(config(**{"identity": IDENTITY, **changes}))
    except InvalidConfig as error:
        return ["/".join(map(str, item.path)) for item in error.errors]
    return []


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param([route(path="/health")], ["routes/0/match/path"], id="a-probe"),
        pytest.param([route(path="/readyz/*")], ["routes/0/match/path"], id="everything-below-a-probe"),
        pytest.param([route(path="/healthy")], [], id="not-quite-a-probe"),
        pytest.param([route(path="/*")], [], id="everything"),
        pytest.param(
            [route(websocket=True, methods=["POST"])], ["routes/0/match/methods"], id="a-websocket-without-get"
        ),
        pytest.param([route(websocket=True, methods=["GET", "POST"])], [], id="a-websocket-with-get"),
        pytest.param([route(), route()], ["routes/1/name"], id="the-same-name"),
        pytest.param([route("a"), route("b")], ["routes/1/match"], id="the-same-requests"),
        pytest.param([route("a", "/a"), route("b", "/a/*")], [], id="an-exact-path-and-its-prefix"),
        pytest.param([route(auth=["jwt"])], ["routes/0/auth"], id="no-issuer"),
        pytest.param([route(require={"roles": ["r"]})], ["routes/0/require"], id="a-role-of-nobody"),
        pytest.param([route(limits=[{"requests": "1/second"}])], ["routes/0/limits/0"], id="a-subject-of-nobody"),
        pytest.param(
            [route(limits=[{"requests": "1/second", "per": ["ip", "tenant"]}])],
            ["routes/0/limits/0"],
            id="one-dimension-of-nobody",
        ),
        pytest.param([route(limits=[{"requests": "1/second", "per": ["ip", "route"]}])], [], id="an-address"),
        pytest.param([route(limits=[LIMIT, LIMIT])], ["routes/0/limits/1"], id="a-limit-twice"),
        pytest.param(
            [route(limits=[{**LIMIT, "per": ["ip", "route"]}, {**LIMIT, "per": ["route", "ip"]}])],
            ["routes/0/limits/1"],
            id="a-limit-twice-in-other-words",
        ),
        pytest.param([route(limits=[LIMIT, {**LIMIT, "requests": "60/hour"}])], [], id="two-periods"),
    ],
)
def test_routes(routes: list[dict[str, Any]], expected: list[str]) -> None:
    assert mistakes(routes=routes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"defaults": {"plan": "gone"}}, ["defaults/plan"], id="default-plan"),
        pytest.param({"consumers": [{"name": "a", "plan": "gone"}]}, ["consumers/0/plan"], id="plan-of-a-consumer"),
        pytest.param(
            {"identity": {"bearer_tokens": [{"name": "a", "token": TOKEN, "consumer": "gone"}]}},
            ["identity/bearer_tokens/0/consumer"],
            id="consumer-of-a-token",
        ),
        pytest.param(
            {"identity": {"bearer_tokens": [{"name": "a", "token": TOKEN}, {"name": "b", "token": TOKEN}]}},
            ["identity/bearer_tokens/1/token"],
            id="one-token-for-two",
        ),
        pytest.param(
            {"listeners": {"a": {"address": "127.0.0.1:8801"}}}, ["listeners/a/address"], id="the-admins-address"
        ),
        pytest.param({"listeners": {"a": {"address": "0.0.0.0:8801"}}}, ["listeners/a/address"], id="a-wildcard"),
        pytest.param(
            {"listeners": {"a": {"address": "0.0.0.0:80"}, "b": {"address": "[::]:80"}}}, [], id="two-families"
        ),
        pytest.param(
            {"defaults": {"auth": ["jwt"]}, "routes": [private(auth=["bearer"])]}, [], id="a-default-nobody-uses"
        ),
    ],
)
def test_everything_else(changes: dict[str, Any], expected: list[str]) -> None:
    assert mistakes(**{"routes": [], **changes}) == expected


def test_a_message_never_quotes_a_token() -> None:
    tokens = [{"name": "a", "token": TOKEN}, {"name": "b", "token": TOKEN}]

    with pytest.raises(InvalidConfig) as refused:
        compiled(config(identity={"bearer_tokens": tokens}, routes=[]))

    assert TOKEN not in str(refused.value)
