"""Each way in which a compiled snapshot could be wrong, made by changing one thing in a right one, is refused."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2 as rate_limit_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy.extensions.filters.http.router.v3 import router_pb2 as router_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb
from google.protobuf.message import Message

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.consistency import InconsistentSnapshot, Inspector, checked
from control_plane.snapshot import EMPTY, Snapshot
from control_plane.xds import names
from control_plane.xds.filters import profile_guard
from control_plane.xds.packing import packed
from service_kit.contract import LIMIT_SET_TYPE
from tests.support.compiled import IDENTITY, config, private, route, snapshots, with_resource, without


def answered(name: str, path: str, **answer: Any) -> dict[str, Any]:
    """A private route whose callers have a plan, and nobody to count them."""
    written = private(name, path, **answer)
    del written["upstream"]
    return written


CONFIG = config(
    upstreams={"email": {"url": "http://127.0.0.1:9001"}, "other": {"url": "http://127.0.0.1:9002"}},
    listeners={"public": {"address": "127.0.0.1:8800"}, "inner": {"address": "127.0.0.1:8802"}},
    identity=IDENTITY,
    plans={"free": {"limits": [{"requests": "60/minute"}]}},
    routes=[
        private("limited", "/limited", limits=[{"requests": "5/second"}]),
        private("planned", "/planned"),
        route("kept-here", "/here", limits=[{"requests": "5/second", "per": "ip", "scope": "instance"}]),
        route("merged", "/merged", request_body={"merge": {"a": 1}}),
        route("pages", "/pages", cors={"origins": ["https://a.example.com"]}, cache={}),
        route("slow", "/slow", bandwidth={"upload": "1MiB"}, adaptive_concurrency={}),
        route("broken", "/broken", fault={"abort": {"status": 500}}),
        route("listed", "/listed", allow_ips=["10.0.0.0/8"]),
        private("dear", "/dear", cost=5),
        private("open", "/open", limits="unlimited"),
        private("scoped", "/scoped", require={"scopes": ["s"]}),
        route("public", "/public"),
        route("large", "/large", body_limit="16MiB"),
        route("socket", "/socket", websocket=True),
        route("shared", "/shared", upstream=[{"name": "email", "weight": 1}], mirror={"upstream": "email"}),
        route("split", "/split", upstream=[{"name": "email", "weight": 1}, {"name": "other", "weight": 0}]),
        answered("away", "/away", redirect={"host": "a.example.com"}),
        answered("said", "/said", respond={"body": "said"}),
    ],
)
DEFAULT_LIMIT = names.body_limit(DEFAULT_BODY_LIMIT)
OFF = packed(route_pb.FilterConfig(disabled=True))
RouteChange = Callable[[dict[str, route_pb.Route]], None]
ManagerChange = Callable[[hcm_pb.HttpConnectionManager], None]


@cache
def compiled_right() -> tuple[Snapshot, Snapshot]:
    return snapshots(CONFIG)


@pytest.fixture(scope="module")
def right() -> tuple[Snapshot, Snapshot]:
    return compiled_right()


def faults(envoy: Snapshot, policies: Snapshot) -> str:
    """What is found by who has seen nothing before, and by who has seen that all was right."""
    with pytest.raises(InconsistentSnapshot) as refused:
        checked(envoy, policies)
    inspector = Inspector()
    inspector.checked(*compiled_right())
    inspector.succeeded()
    inspector.begin()
    with pytest.raises(InconsistentSnapshot) as again:
        inspector.checked(envoy, policies)
    assert again.value.faults == refused.value.faults
    assert inspector.checked(*compiled_right()) is compiled_right()[0]
    return str(refused.value)


def with_routes(source: Snapshot, change: RouteChange) -> Snapshot:
    configuration = routes_of(source)
    change({item.name: item for item in configuration.virtual_hosts[0].routes})
    return with_resource(source, names.ROUTES_TYPE, names.ROUTES, configuration)


def routes_of(source: Snapshot) -> route_configuration_pb.RouteConfiguration:
    return route_configuration_pb.RouteConfiguration.FromString(source.of(names.ROUTES_TYPE)[names.ROUTES].body)


def with_manager(source: Snapshot, change: ManagerChange) -> Snapshot:
    """One of the two listeners changed: the other must not make up for it."""
    listener = listener_pb.Listener.FromString(source.of(names.LISTENER_TYPE)["inner"].body)
    network_filter = listener.filter_chains[0].filters[0]
    manager = hcm_pb.HttpConnectionManager()
    network_filter.typed_config.Unpack(manager)
    change(manager)
    network_filter.typed_config.CopyFrom(packed(manager))
    return with_resource(source, names.LISTENER_TYPE, "inner", listener)


def test_what_is_compiled_is_right(right: tuple[Snapshot, Snapshot]) -> None:
    assert checked(*right) is right[0]


def test_a_snapshot_of_nothing_calls_nobody() -> None:
    assert "'tollgate:authz', which filters call, is not there" in faults(EMPTY, EMPTY)


@pytest.mark.parametrize(
    ("type_url", "name", "fault"),
    [
        pytest.param(names.ENDPOINTS_TYPE, "email", "'email' and its endpoints do not belong", id="no-endpoints"),
        pytest.param(names.CLUSTER_TYPE, "email", "endpoints 'email' belong to no cluster", id="endpoints-alone"),
        pytest.param(names.CLUSTER_TYPE, "email", "goes to cluster 'email', which is not there", id="no-cluster"),
        pytest.param(names.CLUSTER_TYPE, names.AUTHZ_CLUSTER, "which filters call", id="no-authorizer"),
        pytest.param(names.CLUSTER_TYPE, names.RATELIMIT_CLUSTER, "which filters call", id="no-limiter"),
        pytest.param(names.ROUTES_TYPE, names.ROUTES, "wants routes 'tollgate:routes'", id="no-routes"),
    ],
)
def test_something_is_missing(right: tuple[Snapshot, Snapshot], type_url: str, name: str, fault: str) -> None:
    envoy, policies = right

    assert fault in faults(without(envoy, type_url, name), policies)


def test_endpoints_of_a_cluster_that_is_resolved_by_dns(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right
    cluster = cluster_pb.Cluster(name="email", type=cluster_pb.Cluster.STRICT_DNS)

    wrong = with_resource(envoy, names.CLUSTER_TYPE, "email", cluster)

    assert "do not belong together" in faults(wrong, policies)


def test_endpoints_nobody_asked_for(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right
    stray = endpoint_pb.ClusterLoadAssignment(cluster_name="stray")

    wrong = with_resource(envoy, names.ENDPOINTS_TYPE, "stray", stray)

    assert "endpoints 'stray' belong to no cluster" in faults(wrong, policies)


def say(name: str, filter_name: str, message: Message) -> RouteChange:
    return lambda routes: routes[name].typed_per_filter_config[filter_name].CopyFrom(packed(message))


def forget(name: str, filter_name: str) -> RouteChange:
    return lambda routes: routes[name].typed_per_filter_config.pop(filter_name)


def borrow(name: str, filter_name: str, other: str) -> RouteChange:
    return lambda routes: (
        routes[name].typed_per_filter_config[filter_name].CopyFrom(routes[other].typed_per_filter_config[filter_name])
    )


def keep(name: str) -> RouteChange:
    def change(routes: dict[str, route_pb.Route]) -> None:
        for filter_name in (names.CACHE, names.CACHE_EDGE):
            borrow(name, filter_name, "pages")(routes)
        routes[name].route.cluster = "other"

    return change


def misspell(routes: dict[str, route_pb.Route]) -> None:
    said = routes["public"].typed_per_filter_config
    said["envoy.filters.http.ext_autz"].CopyFrom(said.pop(names.EXT_AUTHZ))


def to_an_unknown_cluster(routes: dict[str, route_pb.Route]) -> None:
    routes["public"].route.cluster = "emial"


def to_a_cluster_that_a_header_names(routes: dict[str, route_pb.Route]) -> None:
    routes["public"].route.cluster_header = "x-cluster"


def share_with_an_unknown_cluster(routes: dict[str, route_pb.Route]) -> None:
    routes["split"].route.weighted_clusters.clusters[1].name = "emial"


def copy_to_an_unknown_cluster(routes: dict[str, route_pb.Route]) -> None:
    routes["shared"].route.request_mirror_policies[0].cluster = "emial"


def copy_to_a_cluster_that_a_header_names(routes: dict[str, route_pb.Route]) -> None:
    (policy,) = routes["shared"].route.request_mirror_policies
    policy.cluster_header = "x-cluster"
    policy.ClearField("cluster")


def without_an_extension(routes: dict[str, route_pb.Route]) -> None:
    asked = ext_authz_pb.ExtAuthzPerRoute.FromString(routes["scoped"].typed_per_filter_config[names.EXT_AUTHZ].value)
    del asked.check_settings.context_extensions["scopes"]
    say("scoped", names.EXT_AUTHZ, asked)(routes)


def without_metadata(routes: dict[str, route_pb.Route]) -> None:
    routes["kept-here"].ClearField("metadata")


def with_metadata_of_another(routes: dict[str, route_pb.Route]) -> None:
    routes["kept-here"].metadata.filter_metadata[names.ROUTE_METADATA].update({"name": "public"})


def show_the_mark(routes: dict[str, route_pb.Route]) -> None:
    del routes["merged"].request_headers_to_remove[:]


SWITCH = route_pb.FilterConfig(disabled=True)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(to_an_unknown_cluster, "goes to cluster 'emial', which is not there", id="unknown-cluster"),
        pytest.param(to_a_cluster_that_a_header_names, "goes to cluster ''", id="cluster-by-header"),
        pytest.param(share_with_an_unknown_cluster, "'split' goes to cluster 'emial'", id="unknown-share"),
        pytest.param(copy_to_an_unknown_cluster, "'shared' goes to cluster 'emial'", id="unknown-mirror"),
        pytest.param(copy_to_a_cluster_that_a_header_names, "'shared' goes to cluster ''", id="mirror-by-header"),
        pytest.param(forget("away", names.EXT_AUTHZ), f"nothing to filter '{names.EXT_AUTHZ}'", id="open-redirect"),
        pytest.param(borrow("said", names.PROFILE_GUARD, "public"), "'said' is not guarded", id="open-answer"),
        pytest.param(misspell, "speaks to filter 'envoy.filters.http.ext_autz'", id="misspelt-filter"),
        pytest.param(
            say("public", names.EXT_AUTHZ, router_pb.Router()), "which does not read it", id="wrong-message-type"
        ),
        pytest.param(forget("planned", names.EXT_AUTHZ), f"nothing to filter '{names.EXT_AUTHZ}'", id="no-ext-authz"),
        pytest.param(forget("public", names.PROFILE_GUARD), "nothing to filter 'rbac.profile'", id="no-guard"),
        pytest.param(say("planned", names.EXT_AUTHZ, SWITCH), "does not read it", id="ext-authz-switched-off"),
        pytest.param(say("planned", names.PROFILE_GUARD, SWITCH), "does not read it", id="guard-switched-off"),
        pytest.param(say("planned", names.IDENTITY, SWITCH), "does not read it", id="identity-switched-off"),
        pytest.param(say("limited", names.RATELIMIT, SWITCH), "does not read it", id="limiter-switched-off"),
        pytest.param(say("public", DEFAULT_LIMIT, SWITCH), "'public' has no body limit", id="body-limit-switched-off"),
        pytest.param(
            say("large", names.body_limit(16 << 20), route_pb.FilterConfig()),
            "'large' has no body limit",
            id="body-limit-that-stays-off",
        ),
        pytest.param(
            say("planned", names.EXT_AUTHZ, ext_authz_pb.ExtAuthzPerRoute(disabled=True)),
            "'planned' is not guarded by its own profile '-'",
            id="ext-authz-off-on-a-private-route",
        ),
        pytest.param(
            say("planned", names.EXT_AUTHZ, ext_authz_pb.ExtAuthzPerRoute()),
            "hands nothing to the authorizer",
            id="nothing-asked-of-the-authorizer",
        ),
        pytest.param(without_an_extension, "hands accept, profile, roles, route", id="demand-left-out"),
        pytest.param(
            borrow("scoped", names.EXT_AUTHZ, "planned"), "'scoped' is not guarded by its own", id="foreign-demand"
        ),
        pytest.param(
            borrow("planned", names.PROFILE_GUARD, "public"), "'planned' is not guarded by its own", id="foreign-guard"
        ),
        pytest.param(
            say("planned", names.PROFILE_GUARD, rbac_filter_pb.RBACPerRoute()),
            "'planned' is not guarded by its own",
            id="guard-without-rules",
        ),
        pytest.param(forget("public", names.IP_LIST), "nothing to filter 'rbac.ip_list'", id="no-word-on-addresses"),
        pytest.param(
            say("listed", names.IP_LIST, rate_limit_pb.RateLimitPerRoute()),
            "does not read it",
            id="no-list-of-networks",
        ),
        pytest.param(forget("kept-here", names.INSTANCE_LIMITS), "does not turn them on", id="instance-limit-left-off"),
        pytest.param(borrow("public", names.INSTANCE_LIMITS, "kept-here"), "the other way round", id="no-such-bucket"),
        pytest.param(without_metadata, "does not tell its limits who it is", id="no-name-and-no-cost"),
        pytest.param(with_metadata_of_another, "does not tell its limits who it is", id="name-of-another"),
        pytest.param(
            say("kept-here", names.INSTANCE_LIMITS, route_pb.FilterConfig()), "neither on nor off", id="half-a-switch"
        ),
        pytest.param(
            forget("merged", names.BODY_GUARD), "'merged' rewrites bodies without a guard", id="no-body-guard"
        ),
        pytest.param(
            say("merged", names.BODY_GUARD, rbac_filter_pb.RBACPerRoute()), "without a guard", id="another-body-guard"
        ),
        pytest.param(forget("merged", names.BODY_REWRITE), "guards without rewriting", id="no-rewrite"),
        pytest.param(show_the_mark, "shows its upstream x-tollgate-body", id="mark-shown"),
        pytest.param(forget("pages", names.CORS_VARY), "alone", id="pages-without-vary"),
        pytest.param(forget("pages", names.CACHE_EDGE), "alone", id="kept-with-internal-headers"),
        pytest.param(forget("slow", names.bandwidth("slow", "upload")), "leaves its filter", id="bandwidth-left-off"),
        pytest.param(
            forget("slow", names.adaptive_concurrency("slow")), "leaves its filter", id="concurrency-left-off"
        ),
        pytest.param(keep("public"), "'public' keeps answers of an upstream", id="cookies-kept"),
        pytest.param(borrow("planned", names.RATELIMIT, "dear"), "by its own name", id="cost-of-another"),
        pytest.param(forget("limited", names.RATELIMIT), "'limited' has limits", id="own-limit-not-asked"),
        pytest.param(forget("planned", names.RATELIMIT), "'planned' has limits", id="plan-limit-not-asked"),
        pytest.param(
            say("limited", names.RATELIMIT, rate_limit_pb.RateLimitPerRoute()),
            "'limited' does not ask about limits by its own name",
            id="limits-asked-with-no-descriptor",
        ),
        pytest.param(
            borrow("limited", names.RATELIMIT, "planned"),
            "'limited' does not ask about limits by its own name",
            id="limits-of-another-route",
        ),
        pytest.param(
            borrow("open", names.RATELIMIT, "planned"), "'open' asks about limits that no policy", id="exempt"
        ),
        pytest.param(
            borrow("public", names.RATELIMIT, "planned"), "'public' asks about limits that no policy", id="no-policy"
        ),
    ],
)
def test_a_route_that_would_lose_a_rule(right: tuple[Snapshot, Snapshot], change: RouteChange, fault: str) -> None:
    envoy, policies = right

    assert fault in faults(with_routes(envoy, change), policies)


def test_a_route_that_is_authorized_as_public(right: tuple[Snapshot, Snapshot]) -> None:
    """The authorizer would answer with the profile that the guard of every public route lets pass."""

    def change(routes: dict[str, route_pb.Route]) -> None:
        said = routes["planned"].typed_per_filter_config
        asked = ext_authz_pb.ExtAuthzPerRoute.FromString(said[names.EXT_AUTHZ].value)
        asked.check_settings.context_extensions["profile"] = "-"
        said[names.EXT_AUTHZ].CopyFrom(packed(asked))
        said[names.PROFILE_GUARD].CopyFrom(profile_guard.guarded("-"))

    envoy, policies = right

    assert "under the profile of public routes" in faults(with_routes(envoy, change), policies)


@pytest.mark.parametrize("level", ["virtual host", "routes"])
def test_a_filter_switched_off_for_many_routes(right: tuple[Snapshot, Snapshot], level: str) -> None:
    envoy, policies = right
    configuration = routes_of(envoy)
    target: Any = configuration if level == "routes" else configuration.virtual_hosts[0]
    target.typed_per_filter_config[names.RATELIMIT].CopyFrom(OFF)

    wrong = with_resource(envoy, names.ROUTES_TYPE, names.ROUTES, configuration)

    assert level in faults(wrong, policies)


def test_a_limit_without_the_route_that_asks(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right

    assert "'limited' asks about limits that no policy holds" in faults(
        envoy, without(policies, LIMIT_SET_TYPE, "route/limited")
    )


def drop(name: str) -> ManagerChange:
    def change(manager: hcm_pb.HttpConnectionManager) -> None:
        kept = [link for link in manager.http_filters if link.name != name]
        del manager.http_filters[:]
        manager.http_filters.extend(kept)

    return change


def last(name: str) -> ManagerChange:
    def change(manager: hcm_pb.HttpConnectionManager) -> None:
        moved = next(link for link in manager.http_filters if link.name == name)
        drop(name)(manager)
        manager.http_filters.append(moved)

    return change


def first(name: str) -> ManagerChange:
    def change(manager: hcm_pb.HttpConnectionManager) -> None:
        moved = next(link for link in manager.http_filters if link.name == name)
        drop(name)(manager)
        manager.http_filters.insert(0, moved)

    return change


def set_field(name: str, **fields: Any) -> ManagerChange:
    def change(manager: hcm_pb.HttpConnectionManager) -> None:
        link = next(link for link in manager.http_filters if link.name == name)
        link.MergeFrom(hcm_pb.HttpFilter(**fields))

    return change


def empty(manager: hcm_pb.HttpConnectionManager) -> None:
    del manager.http_filters[:]


JUDGES = (
    DEFAULT_LIMIT,
    names.IP_LIST,
    names.EXT_AUTHZ,
    names.IDENTITY,
    names.PROFILE_GUARD,
    names.RATELIMIT,
    names.ROUTER,
)


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(drop, "listener 'inner' runs", id="missing"),
        pytest.param(lambda name: set_field(name, disabled=True), "off, or optional", id="disabled"),
        pytest.param(lambda name: set_field(name, is_optional=True), "off, or optional", id="optional"),
        pytest.param(
            lambda name: set_field(name, typed_config=packed(hcm_pb.HttpConnectionManager())),
            "HttpConnectionManager as filter",
            id="of-another-type",
        ),
    ],
)
def test_a_judge_that_would_not_judge_in_one_listener(
    right: tuple[Snapshot, Snapshot], name: str, change: Callable[[str], ManagerChange], fault: str
) -> None:
    envoy, policies = right

    assert fault in faults(with_manager(envoy, change(name)), policies)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(first(names.PROFILE_GUARD), id="guard-before-the-authorizer"),
        pytest.param(first(names.IDENTITY), id="identity-before-the-authorizer"),
        pytest.param(first(names.RATELIMIT), id="limits-before-identity"),
        pytest.param(first(names.ROUTER), id="router-first"),
        pytest.param(last(names.RATELIMIT), id="limits-behind-the-router"),
        pytest.param(last(names.HEALTH), id="something-behind-the-router"),
        pytest.param(last(DEFAULT_LIMIT), id="body-limit-behind-the-router"),
        pytest.param(empty, id="no-filters"),
    ],
)
def test_filters_out_of_order(right: tuple[Snapshot, Snapshot], change: ManagerChange) -> None:
    envoy, policies = right

    assert "listener 'inner' runs" in faults(with_manager(envoy, change), policies)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(drop(names.BODY_GUARD), "'inner' has no filter 'rbac.body_guard'", id="no-body-guard"),
        pytest.param(last(names.BODY_REWRITE), "their order is", id="rewrite-behind-its-guard"),
        pytest.param(first(names.bandwidth("slow", "upload")), "their order is", id="instance-out-of-place"),
        pytest.param(first(names.CACHE), "their order is", id="hits-before-the-authorizer"),
        pytest.param(set_field(names.CACHE, is_optional=True), "or optional", id="optional"),
        pytest.param(
            set_field(names.FAULT, typed_config=packed(router_pb.Router())), "Router as filter", id="another-type"
        ),
        pytest.param(drop(names.INSTANCE_LIMITS), "'kept-here' speaks to filter", id="no-buckets"),
    ],
)
def test_filters_that_some_routes_turn_on(right: tuple[Snapshot, Snapshot], change: ManagerChange, fault: str) -> None:
    envoy, policies = right

    assert fault in faults(with_manager(envoy, change), policies)


@pytest.mark.parametrize("name", [names.CACHE, names.CORS, names.FAULT, names.INSTANCE_LIMITS, names.BODY_REWRITE])
def test_a_filter_of_some_routes_that_is_on_for_all(right: tuple[Snapshot, Snapshot], name: str) -> None:
    def change(manager: hcm_pb.HttpConnectionManager) -> None:
        next(link for link in manager.http_filters if link.name == name).disabled = False

    envoy, policies = right

    assert f"{name!r} on for all routes" in faults(with_manager(envoy, change), policies)


def test_a_size_class_that_one_listener_lacks(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right
    size = names.body_limit(16 << 20)

    assert f"'large' speaks to filter '{size}'" in faults(with_manager(envoy, drop(size)), policies)


def test_a_filter_that_only_some_listeners_have_hears_no_route() -> None:
    compressing = {"address": "127.0.0.1:8803", "compression": ["gzip"]}
    envoy, policies = snapshots({**CONFIG, "listeners": {**CONFIG["listeners"], "text": compressing}})
    spoken = say("public", names.compression("gzip"), SWITCH)

    assert "'public' speaks to filter 'tollgate.compression.gzip'" in faults(with_routes(envoy, spoken), policies)


@pytest.mark.parametrize("chain", [0, 1], ids=["proxies", "anybody"])
def test_every_chain_of_a_listener_judges(chain: int) -> None:
    behind = {"address": "127.0.0.1:8803", "trusted_proxies": ["10.0.0.0/8"], "max_connections": 5}
    envoy, policies = snapshots({**CONFIG, "listeners": {"behind": behind}})
    listener = listener_pb.Listener.FromString(envoy.of(names.LISTENER_TYPE)["behind"].body)
    last = listener.filter_chains[chain].filters[-1]
    manager = hcm_pb.HttpConnectionManager()
    last.typed_config.Unpack(manager)
    drop(names.EXT_AUTHZ)(manager)
    last.typed_config.CopyFrom(packed(manager))

    assert "listener 'behind' runs" in faults(with_resource(envoy, names.LISTENER_TYPE, "behind", listener), policies)


def test_routes_of_a_redirect_that_are_not_there() -> None:
    elsewhere = {"address": "127.0.0.1:8080", "https_redirect": 8443}
    envoy, policies = snapshots({**CONFIG, "listeners": {**CONFIG["listeners"], "elsewhere": elsewhere}})

    wrong = without(envoy, names.ROUTES_TYPE, names.https_redirect(8443))

    assert "listener 'elsewhere' wants routes 'tollgate:https-redirect:8443'" in faults(wrong, policies)


def test_routes_that_do_not_come_over_ads(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right

    def change(manager: hcm_pb.HttpConnectionManager) -> None:
        manager.route_config.name = "own"

    assert "'inner' wants routes ''" in faults(with_manager(envoy, change), policies)


def test_every_fault_is_named_at_once(right: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = right

    def change(routes: dict[str, route_pb.Route]) -> None:
        to_an_unknown_cluster(routes)
        forget("limited", names.RATELIMIT)(routes)

    with pytest.raises(InconsistentSnapshot) as refused:
        checked(with_routes(envoy, change), policies)

    assert len(refused.value.faults) == 2
