"""What a route says about itself, which is what the ledger knows of its rules and prices."""

from typing import Any

import pytest
from google.protobuf import json_format

from control_plane.ir import model as ir
from control_plane.xds import names
from control_plane.xds.routes.about import policy_version, route_metadata
from tests.support.compiled import IDENTITY, compiled, config, private

CHAT = "/chat/completions"
PRICED = {"most": 10, "price": {"input": 1.234567, "output": 0.1}}
LIMITED = {"limits": [{"requests": "3/minute"}]}


def built(path: str = CHAT, **changes: Any) -> ir.Route:
    (route,) = compiled(config(identity=IDENTITY, routes=[private("chat", path, **changes)])).gateway.routes
    return route


def said(route: ir.Route) -> dict[str, Any]:
    metadata = json_format.MessageToDict(route_metadata(route))
    return metadata.get("filterMetadata", {}).get(names.ROUTE_METADATA, {})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {}, id="nothing-counts-it"),
        pytest.param(LIMITED, {"cost": 1, "policy": "*"}, id="limited"),
        pytest.param({"limits": [{"requests": "3/minute", "scope": "instance"}], "cost": 2}, {"cost": 2}, id="here"),
        pytest.param({"usage": "email"}, {"cost": 1, "policy": "*", "usage": "email"}, id="usage"),
        pytest.param({"limits": [{"concurrent": 3}]}, {"cost": 1, "policy": "*", "holds": True}, id="under-way"),
        pytest.param(
            {"tokens": PRICED},
            {"cost": 1, "policy": "*", "most": 10, "price_in": 1_234_567, "price_out": 100_000},
            id="metered",
        ),
        pytest.param(
            {"tokens": PRICED, "limits": "unlimited"},
            {"cost": 0, "policy": "*", "most": 10, "price_in": 1_234_567, "price_out": 100_000},
            id="metered-and-exempt",
        ),
        pytest.param(
            {"tokens": PRICED, **LIMITED},
            {"cost": 1, "policy": "*", "holds": True, "most": 10, "price_in": 1_234_567, "price_out": 100_000},
            id="metered-and-limited",
        ),
    ],
)
def test_it_says_what_applies(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    route = built(**changes)
    named = {"name": "chat"} if expected else {}
    policy = {"policy": policy_version(route)} if "policy" in expected else {}

    assert said(route) == {**expected, **named, **policy}


def test_the_policy_changes_with_rules_and_prices_alone() -> None:
    same = {policy_version(built(tokens=PRICED)), policy_version(built("/other" + CHAT, tokens=PRICED, timeout="5s"))}
    others = {
        policy_version(built(tokens={**PRICED, "price": {"input": 2}})),
        policy_version(built(tokens={**PRICED, "most": 11})),
        policy_version(built(tokens=PRICED, limits=[{"requests": "3/minute"}])),
        policy_version(built(tokens=PRICED, usage="email")),
        policy_version(built(tokens=PRICED, limits=[{"requests": "3/minute"}], cost=2)),
    }

    assert len(same) == 1
    assert len(same | others) == 6
    assert all(len(version) == 12 for version in same | others)
