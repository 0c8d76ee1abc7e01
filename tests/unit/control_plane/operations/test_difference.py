"""What would change, and who would notice, between two configurations that are really compiled."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from control_plane.compile import snapshots
from control_plane.operations.described import hashing_key, running
from control_plane.operations.difference import AffectedNode, AffectedPlan, Difference, difference
from control_plane.operations.reports import NodeReport, ResourceVersion, Running, ServedType, TypeReport, short_type
from control_plane.snapshot import Release
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE
from service_kit.contract import ENVOY_NODE_CLUSTER, LIMIT_SET_TYPE, SERVICE_NODE_CLUSTER
from tests.support.compiled import TOKEN, WIRING, compiled, config, private, route

KEY = hashing_key("an-admin-token")
HELD = TypeReport("a", "a", settled=True, since=0.0)
TOKENS = {"bearer_tokens": [{"name": "ops", "token": TOKEN, "tenant": "acme-inc"}]}
ROUTES = [route(), private("reports", "/reports", hosts=["api.test"])]


def made(**changes: Any) -> Running:
    """A gateway with a public route, a private one and a plan, with these changes."""
    content = config(
        **{
            "routes": ROUTES,
            "identity": TOKENS,
            "plans": {"free": {"limits": [{"requests": "5/second"}]}, "pro": {}},
            "consumers": [{"name": "acme", "tenant": "acme-inc", "plan": "pro"}],
            "defaults": {"plan": "free"},
            **changes,
        }
    )
    checked = compiled(content)
    return running(checked, Release(*snapshots(checked.gateway, WIRING)), WIRING, KEY, ())


def words(found: Difference) -> list[str]:
    return [
        f"{item.element}: {key.key} {'***' if key.secret else f'{key.old} -> {key.new}'}"
        for item in found.elements
        for key in item.keys
    ] + [f"{item.element} {item.change}" for item in found.elements if not item.keys]


def resources(found: Difference) -> set[str]:
    return {f"{short_type(item.type)} {item.name} {item.change}" for item in found.resources}


ROUTE_CHANGED = "RouteConfiguration tollgate:routes changed"


@pytest.mark.parametrize(
    ("changes", "expected", "changed"),
    [
        pytest.param({}, [], set(), id="nothing"),
        pytest.param({"routes": ROUTES[::-1]}, [], set(), id="another order"),
        pytest.param(
            {"routes": [route(timeout="10s"), ROUTES[1]]},
            ["routes.email: timeout None -> 10s"],
            {ROUTE_CHANGED},
            id="a key that had its default",
        ),
        pytest.param(
            {"routes": [*ROUTES, route("new", "/new")]}, ["routes.new added"], {ROUTE_CHANGED}, id="a route more"
        ),
        pytest.param({"routes": ROUTES[1:]}, ["routes.email removed"], {ROUTE_CHANGED}, id="a route less"),
        pytest.param(
            {"upstreams": {"email": {"url": "http://127.0.0.1:9009"}}},
            ["upstreams.email: url http://127.0.0.1:9001 -> http://127.0.0.1:9009"],
            {"ClusterLoadAssignment email changed"},
            id="another endpoint",
        ),
        pytest.param(
            {"upstreams": {"email": {"url": "http://127.0.0.1:9001"}, "more": {"url": "http://127.0.0.1:9002"}}},
            ["upstreams.more added"],
            {"Cluster more added", "ClusterLoadAssignment more added"},
            id="an upstream more",
        ),
        pytest.param(
            {"identity": {"bearer_tokens": [{**TOKENS["bearer_tokens"][0], "token": TOKEN + "x"}]}},
            ["identity.bearer_tokens.ops: token ***"],
            {"AuthzPolicy default changed"},
            id="another secret",
        ),
        pytest.param(
            {"plans": {"free": {"limits": [{"requests": "9/second"}]}, "pro": {}}},
            ["plans.free: limits [5/second per subject] -> [9/second per subject]"],
            {"LimitSet plan/free changed"},
            id="a limit",
        ),
        pytest.param(
            {
                "plans": {
                    "free": {
                        "limits": "unlimited",
                        "quotas": [
                            {"usage": "requests", "amount": "5.0/month", "per": ["plan"]},
                            {"usage": "requests", "amount": "9/day", "mode": "report"},
                        ],
                    },
                    "pro": {"limits": "unlimited"},
                }
            },
            [
                "plans.free: limits [5/second per subject] -> None",
                "plans.free: quotas None -> [5/month requests per plan, 9/day requests per consumer reported]",
            ],
            {"LimitSet plan/free changed"},
            id="quotas",
        ),
        pytest.param(
            {
                "consumers": [{"name": "acme", "tenant": "acme-inc", "plan": "pro", "limits": "unlimited"}],
                "tenants": [{"name": "acme-inc", "limits": [{"concurrent": 5, "on_store_failure": "allow"}]}],
            },
            ["consumers.acme: limits None -> unlimited", "tenants.acme-inc added"],
            None,
            id="rules of callers",
        ),
        pytest.param(
            {"plans": {"free": {"limits": [{"concurrent": 5, "on_store_failure": "allow"}]}, "pro": {}}},
            ["plans.free: limits [5/second per subject] -> [5 concurrent per subject or allow]"],
            None,
            id="calls under way",
        ),
        pytest.param({"admin": {"metrics": False}}, ["admin: metrics None -> false"], set(), id="no resource at all"),
        pytest.param(
            {"routes": [route(cors={"origins": ["https://a.test"]}), ROUTES[1]]},
            ["routes.email: cors.origins None -> [https://a.test]"],
            None,
            id="a key with keys",
        ),
    ],
)
def test_what_would_change(changes: Mapping[str, Any], expected: list[str], changed: set[str] | None) -> None:
    found = difference(made(), made(**changes))

    assert words(found) == expected
    assert changed is None or resources(found) == changed
    assert found.nothing == (not expected)


def test_a_mapping_that_gets_its_first_key_is_one_change() -> None:
    old = made(routes=[route(retries={}), ROUTES[1]])
    new = made(routes=[route(retries={"attempts": 3}), ROUTES[1]])

    assert words(difference(old, new)) == ["routes.email: retries.attempts None -> 3"]


@pytest.mark.parametrize(
    ("changes", "routes", "requests"),
    [
        pytest.param(
            {"upstreams": {"email": {"url": "http://127.0.0.1:9009"}}},
            {"email": ("upstreams.email",), "reports": ("upstreams.email",)},
            ("/email", "api.test/reports"),
            id="upstream",
        ),
        pytest.param(
            {"plans": {"free": {}, "pro": {}}}, {"reports": ("plans.free",)}, ("api.test/reports",), id="plan"
        ),
        pytest.param(
            {"tenants": [{"name": "acme-inc", "limits": [{"requests": "9/second"}]}]},
            {"reports": ("tenants.acme-inc",)},
            ("api.test/reports",),
            id="tenant",
        ),
        pytest.param(
            {"plans": {}, "consumers": [], "defaults": {}},
            {"reports": ("plans", "defaults.plan")},
            ("api.test/reports",),
            id="plans",
        ),
        pytest.param(
            {"identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN}]}},
            {"reports": ("identity.bearer_tokens.ops",)},
            ("api.test/reports",),
            id="credential",
        ),
        pytest.param(
            {"routes": [route("email", "/mail"), ROUTES[1]]},
            {"email": ("routes.email",)},
            ("/email", "/mail"),
            id="a path that moves",
        ),
        pytest.param({"admin": {"metrics": False}}, {}, (), id="nobody"),
        pytest.param({"consumers": []}, {}, (), id="consumer"),
    ],
)
def test_which_requests_are_concerned(changes, routes, requests) -> None:
    affected = difference(made(), made(**changes)).affected

    assert (affected.routes, affected.requests) == (routes, requests)


def test_who_has_a_plan_that_changes() -> None:
    new = made(plans={"free": {"limits": [{"requests": "5/minute"}]}, "pro": {"limits": [{"requests": "1/second"}]}})

    assert difference(made(), new).affected.plans == (
        AffectedPlan("free", consumers=(), bearer_tokens=("ops",), tenants=("acme-inc",)),
        AffectedPlan("pro", consumers=("acme",), bearer_tokens=(), tenants=("acme-inc",)),
    )


@pytest.mark.parametrize(
    ("listeners", "drained"),
    [
        pytest.param({"public": {"address": "127.0.0.1:8800", "max_connections": 5}}, ("public",), id="changed"),
        pytest.param({"other": {"address": "127.0.0.1:8800"}}, ("public",), id="renamed"),
        pytest.param({"public": {"address": "127.0.0.1:8800"}, "b": {"address": "127.0.0.1:8801"}}, (), id="added"),
    ],
)
def test_which_listeners_are_replaced(listeners, drained) -> None:
    assert (
        difference(made(), made(listeners=listeners, admin={"address": "127.0.0.1:8809"})).affected.drained == drained
    )


def test_no_client_is_at_the_listeners_behind_translated_models() -> None:
    email = {"url": "http://127.0.0.1:9001"}
    gpu = {"url": "http://127.0.0.1:11434", "api": "ollama-native"}
    model = {"name": "small", "upstream": "gpu"}
    llm = {"defaults": {"auth": ["bearer"], "plan": "free"}, "upstreams": {"email": email, "gpu": gpu}}
    old, new = (made(**llm, models=[{**model, "upstream_model": name}]) for name in ("one", "two"))

    found = difference(old, new)

    assert [item.change for item in found.resources if item.type == LISTENER_TYPE] == ["removed", "added"]
    assert found.affected.drained == ()


def node(name: str, *types: str, cluster: str = ENVOY_NODE_CLUSTER, group: str = "") -> NodeReport:
    return NodeReport(name, cluster, "delta", 0.0, converged=True, group=group, types=dict.fromkeys(types, HELD))


def test_who_is_pushed_something() -> None:
    nodes = (
        node("e1", CLUSTER_TYPE, ENDPOINTS_TYPE, ROUTES_TYPE),
        node("e2", LISTENER_TYPE),
        node("limiter", LIMIT_SET_TYPE, cluster=SERVICE_NODE_CLUSTER),
    )
    old = replace(made(), nodes=nodes)
    new = made(routes=[route(limits=[{"requests": "1/second", "per": "ip"}]), ROUTES[1]])

    assert difference(old, new).affected.nodes == (
        AffectedNode("e1", ENVOY_NODE_CLUSTER, "", (ROUTES_TYPE,)),
        AffectedNode("limiter", SERVICE_NODE_CLUSTER, "", (LIMIT_SET_TYPE,)),
    )


def test_a_resource_of_a_group_is_pushed_to_its_group_alone() -> None:
    def served(version: str, *groups: str) -> Running:
        types = {LISTENER_TYPE: ServedType({"internal": ResourceVersion(version, groups)})}
        nodes = tuple(node(name, LISTENER_TYPE, group=name) for name in ("", "edge", "inner"))
        return replace(made(), types=types, nodes=nodes)

    def pushed(old: Running, new: Running) -> list[str]:
        return [item.group for item in difference(old, new).affected.nodes]

    assert pushed(served("1", "edge"), served("2", "edge")) == ["edge"]
    assert pushed(served("1", "edge"), served("1", "inner")) == ["edge", "inner"]
    assert pushed(served("1"), served("2")) == ["", "edge", "inner"]
