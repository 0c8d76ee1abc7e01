"""Whatever could keep a call's tokens, or its end, from being counted is refused."""

from collections.abc import Callable
from typing import Final

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2 as rate_limit_pb
from google.protobuf.message import Message

from control_plane.consistency import InconsistentSnapshot, checked
from control_plane.consistency.filters import METERED
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.filters.per_route import OFF, ON
from control_plane.xds.packing import packed
from service_kit.contract import LIMIT_SET_TYPE, plan_limits_name, route_limits_name
from tests.support.compiled import config, private, route, snapshots, with_resource
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

Routes = dict[str, route_pb.Route]
Change = Callable[[Routes], None]
CONFIG: Final = config(
    routes=[
        route("chat", "/chat/completions", tokens={"most": 10}, limits=[{"tokens": "1000/minute", "per": "ip"}]),
        route("other", "/other/completions", tokens={}, limits=[{"tokens": "9000/minute", "per": "ip"}]),
        route("busy", "/busy", limits=[{"concurrent": 3, "per": "ip"}]),
        route("plain", "/plain", limits=[{"requests": "3/minute", "per": "ip"}]),
    ]
)


@pytest.fixture(scope="module")
def right() -> tuple[Snapshot, Snapshot]:
    return snapshots(CONFIG)


def test_what_is_compiled_is_right(right: tuple[Snapshot, Snapshot]) -> None:
    assert checked(*right) is right[0]


def without(name: str, *filters: str) -> Change:
    def changed(routes: Routes) -> None:
        for dropped in filters:
            routes[name].typed_per_filter_config.pop(dropped)

    return changed


def saying(name: str, filter_name: str, message: Message) -> Change:
    def changed(routes: Routes) -> None:
        routes[name].typed_per_filter_config[filter_name].CopyFrom(message)

    return changed


def asking(
    name: str, change: Callable[[rate_limit_pb.RateLimitPerRoute], None], *, of: str = names.RATELIMIT
) -> Change:
    def changed(routes: Routes) -> None:
        said = routes[name].typed_per_filter_config[of]
        asked = rate_limit_pb.RateLimitPerRoute.FromString(said.value)
        change(asked)
        said.CopyFrom(packed(asked))

    return changed


def drop(index: int) -> Callable[[rate_limit_pb.RateLimitPerRoute], None]:
    def changed(asked: rate_limit_pb.RateLimitPerRoute) -> None:
        del asked.rate_limits[index]

    return changed


def hold_nothing(asked: rate_limit_pb.RateLimitPerRoute) -> None:
    del asked.rate_limits[2:]


def hold_by_a_header_of_the_client(asked: rate_limit_pb.RateLimitPerRoute) -> None:
    asked.rate_limits[2].actions[0].request_headers.header_name = "x-call"


def end_before_it_begins(asked: rate_limit_pb.RateLimitPerRoute) -> None:
    asked.rate_limits[0].apply_on_stream_done = False


def end_as_another(routes: Routes) -> None:
    routes["chat"].typed_per_filter_config[names.RATELIMIT].CopyFrom(
        routes["other"].typed_per_filter_config[names.RATELIMIT]
    )


def let_answers_be_compressed(routes: Routes) -> None:
    routes["chat"].request_headers_to_remove.remove("accept-encoding")


HOLD = "begins a hold without its numbers or its end"
ALONE = "speaks to one of the filters"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(without("chat", names.UNUSED_TOKENS), ALONE, id="no-defaults"),
        pytest.param(without("chat", names.JSON_TOKENS), ALONE, id="bodies-unread"),
        pytest.param(without("chat", names.TOKEN_SPELLINGS), ALONE, id="spellings-unread"),
        pytest.param(without("chat", names.TOKEN_GUARD), ALONE, id="no-guard"),
        pytest.param(without("chat", names.STREAMED_TOKENS), "of streams that nothing reads", id="streams-unread"),
        pytest.param(saying("chat", names.STREAMED_TOKENS, OFF), "turns off what reads", id="stream-reader-off"),
        pytest.param(
            without("chat", *METERED),
            HOLD,
            id="nothing-is-read",
        ),
        pytest.param(without("chat", names.BODY_REWRITE), "of bodies that it does not rewrite", id="not-rewritten"),
        pytest.param(without("chat", names.BODY_GUARD), "without a guard", id="not-guarded"),
        pytest.param(saying("chat", names.JSON_TOKENS, OFF), "turns off what reads", id="reader-off"),
        pytest.param(saying("plain", names.JSON_TOKENS, ON), ALONE, id="reader-where-nothing-is-counted"),
        pytest.param(saying("chat", names.TOKEN_GUARD, ON), "does not read it", id="guard-without-rules"),
        pytest.param(let_answers_be_compressed, "answers that may be compressed", id="compressed"),
        pytest.param(end_as_another, "does not ask about limits by its own name", id="as-another"),
        pytest.param(asking("chat", drop(3)), HOLD, id="a-number-less"),
        pytest.param(asking("chat", drop(-1), of=names.STREAM_ENDS), HOLD, id="a-number-less-at-the-end"),
        pytest.param(asking("chat", hold_nothing), "counts tokens that its policy does not", id="no-hold"),
        pytest.param(without("busy", names.STREAM_ENDS), HOLD, id="no-end"),
        pytest.param(asking("busy", hold_nothing), "does not tell when its calls end", id="no-begin"),
        pytest.param(asking("busy", hold_by_a_header_of_the_client), HOLD, id="the-clients-id"),
        pytest.param(asking("busy", end_before_it_begins, of=names.STREAM_ENDS), HOLD, id="ended-at-once"),
        pytest.param(saying("plain", names.STREAM_ENDS, ON), "does not read it", id="end-of-what-never-began"),
    ],
)
def test_what_would_not_be_counted(right: tuple[Snapshot, Snapshot], change: Change, fault: str) -> None:
    would_not_be_counted(right, change, fault)


def would_not_be_counted(told: tuple[Snapshot, Snapshot], change: Change, fault: str) -> None:
    envoy, policies = told
    table = route_configuration_pb.RouteConfiguration.FromString(envoy.of(names.ROUTES_TYPE)[names.ROUTES].body)
    change({item.name: item for item in table.virtual_hosts[0].routes})

    with pytest.raises(InconsistentSnapshot, match=fault):
        checked(with_resource(envoy, names.ROUTES_TYPE, names.ROUTES, table), policies)


CALLERS: Final = config(
    defaults={"plan": "free"},
    identity={"bearer_tokens": [{"name": "one", "token": "0123456789abcdef0123456789abcdef", "subject": "one"}]},
    plans={"free": {"limits": [{"concurrent": 3}], "quotas": [{"usage": "tokens", "amount": "1000/month"}]}},
    routes=[
        private("chat", "/chat/completions", tokens={}),
        private("busy", "/busy"),
        private("free", "/free", limits="unlimited"),
        route("open", "/open"),
    ],
)


@pytest.fixture(scope="module")
def of_callers() -> tuple[Snapshot, Snapshot]:
    return snapshots(CALLERS)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(asking("busy", hold_nothing), "does not tell when its calls end", id="no-hold"),
        pytest.param(without("busy", names.RATELIMIT), "asks nobody", id="nobody-asked"),
        pytest.param(without("chat", names.RATELIMIT), "asks nobody", id="nobody-asked-about-tokens"),
    ],
)
def test_what_rules_of_callers_would_not_count(
    of_callers: tuple[Snapshot, Snapshot], change: Change, fault: str
) -> None:
    assert checked(*of_callers) is of_callers[0]
    would_not_be_counted(of_callers, change, fault)


def test_tokens_that_a_plan_alone_counts(of_callers: tuple[Snapshot, Snapshot]) -> None:
    envoy, policies = of_callers
    name = plan_limits_name("free")
    found = policy_pb.LimitSet.FromString(policies.of(LIMIT_SET_TYPE)[name].body)
    found.ClearField("limits")

    would_not_be_counted(
        (envoy, with_resource(policies, LIMIT_SET_TYPE, name, found)), without("chat", names.RATELIMIT), "asks nobody"
    )


@pytest.mark.parametrize(("name", "metered"), [("chat", False), ("plain", True)])
def test_policies_that_mean_another_route(right: tuple[Snapshot, Snapshot], name: str, *, metered: bool) -> None:
    envoy, policies = right
    found = policy_pb.LimitSet.FromString(policies.of(LIMIT_SET_TYPE)[route_limits_name(name)].body)
    found.ClearField("metering")
    if metered:
        found.metering.SetInParent()

    with pytest.raises(InconsistentSnapshot, match="counts tokens that its policy does not"):
        checked(envoy, with_resource(policies, LIMIT_SET_TYPE, route_limits_name(name), found))
