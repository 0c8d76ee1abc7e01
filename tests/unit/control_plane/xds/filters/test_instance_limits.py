"""Every limit of an instance has a descriptor that each of its calls brings."""

from typing import Any

import pytest
from google.protobuf import json_format
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.ir.model import Gateway
from control_plane.policies.limits import limit_set, limited
from control_plane.xds.filters import instance_limits
from control_plane.xds.routes.about import route_metadata
from tests.support.compiled import IDENTITY, compiled, config, private, route

DIMENSIONS = ("subject", "tenant", "consumer", "ip", "route", "plan")


def here(requests: str, per: str | list[str] = "subject") -> dict[str, Any]:
    return {"requests": requests, "per": per, "scope": "instance"}


def gateway(*routes: dict[str, Any], plans: dict[str, Any] | None = None) -> Gateway:
    return compiled(config(identity=IDENTITY, plans=plans or {}, routes=list(routes))).gateway


def fields(built: Gateway) -> dict[str, Any]:
    (link,) = instance_limits.filters(built)
    assert link.typed_config
    struct = typed_struct_pb.TypedStruct.FromString(link.typed_config.value)
    found: dict[str, Any] = json_format.MessageToDict(struct.value)
    return found


def brought(action: dict[str, Any]) -> tuple[str, bool]:
    """The key of a descriptor's entry, and whether the call always brings it."""
    ((kind, said),) = action.items()
    if kind == "masked_remote_address":
        return kind, True  # every client has an address
    if kind == "generic_key":
        return said["descriptor_key"], True
    return said["descriptor_key"], "default_value" in said or said.get("source") == "ROUTE_ENTRY"


@pytest.mark.parametrize("owner", ["route", "plan"])
@pytest.mark.parametrize("per", [*DIMENSIONS, ["subject", "ip"], ["route", "tenant"], list(DIMENSIONS)], ids=str)
def test_no_call_lacks_what_a_limit_counts(owner: str, per: str | list[str]) -> None:
    limits = [here("5/minute", per), here("50/hour", per)]
    built = gateway(private(limits=limits)) if owner == "route" else gateway(private(), plans={"p": {"limits": limits}})
    found = fields(built)

    said = [[brought(action) for action in item["actions"]] for item in found["rate_limits"]]
    wanted = [[entry["key"] for entry in item["entries"]] for item in found["descriptors"]]
    assert all(always for keys in said for _, always in keys)
    assert sorted([key for key, _ in keys] for keys in said) == sorted(wanted)
    assert len(wanted) == 2
    assert all(item["entries"][1] == {"key": owner, "value": "email" if owner == "route" else "p"}
               for item in found["descriptors"])  # fmt: skip


def test_what_is_only_reported_refuses_nothing() -> None:
    found = fields(gateway(private(limits=[here("5/minute"), {**here("4/hour"), "mode": "report"}])))

    assert [item.get("shadow_mode", False) for item in found["descriptors"]] == [True, False]


def test_every_call_is_asked_and_pays_its_cost() -> None:
    found = fields(gateway(private(limits=[here("5/minute")])))

    assert found["filter_enabled"] == found["filter_enforced"] == {
        "default_value": {"numerator": 100, "denominator": "HUNDRED"}
    }  # fmt: skip
    assert {item["hits_addend"]["format"] for item in found["rate_limits"]} == {"%METADATA(ROUTE:tollgate.route:cost)%"}


def test_a_route_says_who_it_is_and_what_it_costs() -> None:
    (built,) = gateway(private(limits=[here("5/minute")], cost=3)).routes
    said = json_format.MessageToDict(route_metadata(built))

    assert said == {"filterMetadata": {"tollgate.route": {"name": "email", "cost": 3}}}


@pytest.mark.parametrize(
    ("written", "plans", "fleet", "instance"),
    [
        pytest.param(private(), {}, False, False, id="none"),
        pytest.param(private(limits=[here("5/minute")]), {}, False, True, id="own, of the instance"),
        pytest.param(private(limits=[{"requests": "5/minute"}]), {}, True, False, id="own, of the fleet"),
        pytest.param(private(limits=[here("5/minute"), {"requests": "5/minute"}]), {}, True, True, id="own, of both"),
        pytest.param(private(), {"p": {"limits": [here("5/minute")]}}, False, True, id="a plan's, of the instance"),
        pytest.param(
            private(), {"p": {"limits": [{"requests": "5/minute"}]}}, True, False, id="a plan's, of the fleet"
        ),
        pytest.param(route(), {"p": {"limits": [here("5/minute")]}}, False, False, id="public: callers have no plan"),
    ],
)
def test_only_who_may_refuse_is_asked(
    written: dict[str, Any], plans: dict[str, Any], fleet: bool, instance: bool
) -> None:
    built = gateway(written, plans=plans)

    (compiled_route,) = built.routes
    assert (compiled_route.asks_limiter, compiled_route.limited_here) == (fleet, instance)
    sets = dict(map(limit_set, limited(built)))
    assert ("route/email" in sets) is fleet
    assert not any("instance" in limit.id for found in sets.values() for limit in found.limits)
