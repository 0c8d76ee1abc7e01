"""From Envoy 1.40's own words back to the parts of the configuration that they mean."""

from typing import Any

import pytest
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane.compile import Compiler
from control_plane.gate.blame import all_of_the_refused_types, blamed
from control_plane.gate.parts import LISTENERS, ROUTES, UPSTREAMS, Part, edited, elements
from control_plane.ir.model import Gateway
from control_plane.publication.outcome import NodeRefusal, Outcome
from control_plane.server.status import Refusal
from control_plane.xds import names
from service_kit import contract
from tests.support.compiled import WIRING, compiled, config, route

BEFORE = {"routes": [route("old", "/old"), route("kept", "/kept")]}
AFTER = {
    "upstreams": {"email": {"url": "http://127.0.0.1:9001"}, "chat": {"url": "http://127.0.0.1:9002"}},
    "listeners": {
        "public": {"address": "127.0.0.1:8800", "compression": ["gzip"]},
        "inner": {"address": "127.0.0.1:8802"},
    },
    "routes": [
        route("old", "/old", timeout="9s"),
        route("kept", "/kept"),
        {**route("shape"), "match": {"path_regex": "/v[0-9]+/(a|b)"}},
        route("networks", "/networks", allow_ips=["10.0.0.0/8"]),
        route("header", "/header", headers={"x-color": {"regex": "re[d]"}}),
        route("changing", "/changing", response_headers={"set": {"x-trace-of-mine": "plain"}}),
        route("pages", "/pages", cors={"origins": ["https://app.example.com"]}),
        route("chat", "/chat", upstream="chat"),
        route("lonely", "/lonely", hosts=["lonely.example.com"]),
    ],
}


def gateway(written: dict[str, Any]) -> Gateway:
    return compiled(config(**written)).gateway


NEW, OLD = gateway(AFTER), gateway(BEFORE)
RELEASE = Compiler(WIRING).release(NEW)


def outcome(type_url: str, message: str, *held: str) -> Outcome:
    refusal = Refusal(type_url, "version", "nonce", message, 0.0, held)
    return Outcome(RELEASE, (), (NodeRefusal("envoy-1", "", refusal),))


def found(type_url: str, message: str, *held: str) -> set[str]:
    parts = blamed(outcome(type_url, message, *held), edited(NEW, OLD), elements(NEW), elements(OLD))
    assert all(reason.startswith("envoy-1 refuses it: ") for reason in parts.values())
    return set(map(str, parts))


DUPLICATE = "Didn't find a registered implementation for 'http' with type URL: 'x'"


@pytest.mark.parametrize(
    ("message", "held", "expected"),
    [
        pytest.param(
            f"Error adding/updating listener(s) inner: {DUPLICATE}\n",
            ("inner", "public"),
            {"listener 'inner'"},
            id="one",
        ),
        pytest.param(
            f"Error adding/updating listener(s) inner: {DUPLICATE}\ntollgate:http3:public: no\n",
            ("inner", "tollgate:http3:public"),
            {"listener 'inner'", "listener 'public'"},
            id="two, of which one is over UDP",
        ),
        pytest.param(
            "no name at all", ("inner", "public"), {"listener 'inner'", "listener 'public'"}, id="all of the push"
        ),
    ],
)
def test_listeners_are_named(message: str, held: tuple[str, ...], expected: set[str]) -> None:
    assert found(names.LISTENER_TYPE, message, *held) == expected


def test_clusters_are_named_or_were_in_the_push() -> None:
    assert found(names.CLUSTER_TYPE, "Error adding/updating cluster(s) chat: no", "chat", "email") == {
        "upstream 'chat'"
    }
    assert found(names.CLUSTER_TYPE, "Invalid duration", "chat", "email") == {"upstream 'chat'"}
    assert found(names.CLUSTER_TYPE, "Invalid duration", names.AUTHZ_CLUSTER) == set()


@pytest.mark.parametrize(
    ("type_url", "name", "expected"),
    [
        pytest.param(names.ENDPOINTS_TYPE, "chat", {"upstream 'chat'"}, id="endpoints"),
        pytest.param(
            names.SECRET_TYPE,
            names.listener_secret("public", names.CERTIFICATE),
            {"listener 'public'"},
            id="a listener's",
        ),
        pytest.param(
            names.SECRET_TYPE, names.upstream_secret("chat", names.CA), {"upstream 'chat'"}, id="an upstream's"
        ),
        pytest.param(names.SECRET_TYPE, names.SYSTEM_CA, set(), id="everyone's"),
        pytest.param(
            contract.LIMIT_SET_TYPE, contract.route_limits_name("shape"), {"route 'shape'"}, id="a route's limits"
        ),
        pytest.param(contract.LIMIT_SET_TYPE, contract.plan_limits_name("free"), set(), id="a plan's limits"),
        pytest.param(contract.AUTHZ_POLICY_TYPE, contract.AUTHZ_POLICY_NAME, set(), id="identity"),
    ],
)
def test_what_messages_never_name_is_known_by_the_push(type_url: str, name: str, expected: set[str]) -> None:
    assert found(type_url, "Failed to load certificate chain from <inline>", name) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("regex '/v[0-9]+/(a|b)' RE2 program size of 405 > max program size of 100", {"shape"}, id="size"),
        pytest.param("Failed to create CIDR range: malformed IP address: 10.0.0.0", {"networks"}, id="network"),
        pytest.param("missing ]: re[d]", {"header"}, id="expression of a header"),
        pytest.param("header 'x-trace-of-mine' may not be modified", {"changing"}, id="header"),
        pytest.param("https://app.example.com is no origin", {"pages"}, id="origin"),
        pytest.param("route 'chat' is bad", {"chat"}, id="its name"),
        pytest.param("missing ): (", set(), id="nothing to go by"),
        pytest.param("header value of chat may not be plain", set(), id="words that are also names and values"),
        pytest.param("'/kept' is bad", set(), id="what did not change"),
        pytest.param("'/old' is bad", set(), id="what was there before of what changed"),
    ],
)
def test_routes_are_known_by_their_texts(message: str, expected: set[str]) -> None:
    assert found(names.ROUTES_TYPE, message, names.ROUTES) == {f"route {name!r}" for name in expected}


def test_routes_are_known_by_their_place_and_not_by_the_resource_that_is_quoted() -> None:
    body = RELEASE.envoy.of(names.ROUTES_TYPE)[names.ROUTES].body
    tried = route_configuration_pb.RouteConfiguration.FromString(body).virtual_hosts[0].routes
    index = [item.name for item in tried].index(names.preflight("pages"))
    quoted = 'goo.gle/debugstr  \nregex: "/v[0-9]+/(a|b)"\n'
    reason = f"X.VirtualHosts[0]: embedded message failed validation | caused by Y.Routes[{index}]: embedded"

    message = f"{quoted}: Proto constraint validation failed ({reason})"

    assert found(names.ROUTES_TYPE, message, names.ROUTES) == {"route 'pages'"}
    assert found(names.ROUTES_TYPE, message.replace(f"[{index}]", "[99]"), names.ROUTES) == set()


def in_a_host(index: int) -> str:
    return f": Proto constraint validation failed (VirtualHostValidationError.Routes[{index}]: embedded)"


def of_hosts(message: str, *domains: str) -> set[str]:
    return found(names.VIRTUAL_HOST_TYPE, message, *(f"{names.ROUTES}/{domain}" for domain in domains))


def test_routes_of_a_virtual_host_are_known_by_their_place_in_it() -> None:
    table = RELEASE.envoy.of(names.ROUTES_TYPE)[names.ROUTES].body
    at = {item.name: item for item in route_configuration_pb.RouteConfiguration.FromString(table).virtual_hosts}
    index = {name: [item.name for item in host.routes].index("lonely") for name, host in at.items() if name != "*"}
    place = in_a_host(index["lonely.example.com"])
    quoted = f"virtual host '{names.ROUTES}/lonely.example.com'{place}"

    assert of_hosts(place, "lonely.example.com") == {"route 'lonely'"}
    assert of_hosts(quoted, "*", "lonely.example.com") == {"route 'lonely'"}
    assert of_hosts(in_a_host(99), "lonely.example.com") == set()
    assert of_hosts(place, "gone.example.com") == set()


def test_a_place_in_one_of_several_virtual_hosts_blames_nobody() -> None:
    table = RELEASE.envoy.of(names.ROUTES_TYPE)[names.ROUTES].body
    (host,) = (
        item for item in route_configuration_pb.RouteConfiguration.FromString(table).virtual_hosts if item.name == "*"
    )
    shape, lonely = ([item.name for item in host.routes].index(name) for name in ("shape", "chat"))

    assert of_hosts(in_a_host(shape), "*") == {"route 'shape'"}
    assert of_hosts(in_a_host(lonely), "*") == {"route 'chat'"}
    assert of_hosts(in_a_host(shape), "*", "lonely.example.com") == set()


@pytest.mark.parametrize("type_url", [names.ROUTES_TYPE, names.VIRTUAL_HOST_TYPE])
def test_texts_are_looked_for_in_both_kinds_of_routes(type_url: str) -> None:
    assert found(type_url, "missing ]: re[d]", names.ROUTES) == {"route 'header'"}
    assert all_of_the_refused_types(outcome(type_url, "bad"), edited(NEW, OLD)).keys() == {
        part for part in edited(NEW, OLD) if part.kind == ROUTES
    }


def test_where_nothing_is_named_all_of_the_kind_that_changed_is_blamed() -> None:
    touched = edited(NEW, OLD)

    of_routes = all_of_the_refused_types(outcome(names.ROUTES_TYPE, "bad"), touched)
    of_a_secret = all_of_the_refused_types(outcome(names.SECRET_TYPE, "bad"), touched)
    of_a_policy = all_of_the_refused_types(outcome(contract.AUTHZ_POLICY_TYPE, "bad"), touched)

    assert of_routes.keys() == {part for part in touched if part.kind == ROUTES}
    assert (of_a_secret.keys(), of_a_policy) == (touched, {})
    assert {Part(UPSTREAMS, "chat"), Part(LISTENERS, "inner"), Part(ROUTES, "old")} <= touched
    assert Part(ROUTES, "kept") not in touched
