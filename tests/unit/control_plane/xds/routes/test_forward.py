"""Where a compiled route sends requests, as which host, for how long, and how often."""

from typing import Any

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from google.protobuf import json_format

from tests.support.routes import only

UPSTREAM = {"url": "http://127.0.0.1:9001"}
PUBLIC = {"url": "https://api.example.com"}
MIRROR = {"upstream": "shadow", "percent": 12.5}


def action(upstreams: dict[str, Any] | None = None, **changes: Any) -> route_pb.RouteAction:
    return only(upstreams, **changes).route


def as_dict(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


@pytest.mark.parametrize(
    ("changes", "timeout", "per_try"),
    [
        pytest.param({"timeout": "5s"}, 5.0, 0.0, id="whole-answer"),
        pytest.param({"timeout": "5s", "streaming": True}, 0.0, 5.0, id="first-byte-of-a-stream"),
        pytest.param({"timeout": "1ms"}, 0.001, 0.0, id="shortest"),
        pytest.param({"timeout": "5s", "retries": {"per_try_timeout": "1s"}}, 5.0, 1.0, id="a-try-and-all-of-them"),
        pytest.param(
            {"timeout": "5s", "streaming": True, "retries": {"per_try_timeout": "1s"}},
            0.0,
            1.0,
            id="the-shorter-of-a-stream",
        ),
        pytest.param(
            {"timeout": "1s", "streaming": True, "retries": {"per_try_timeout": "5s"}}, 0.0, 1.0, id="either-way"
        ),
        pytest.param({"timeout": "5s", "streaming": True, "retries": {}}, 0.0, 5.0, id="each-try-of-a-stream"),
    ],
)
def test_a_timeout_never_cuts_a_stream(changes: dict[str, Any], timeout: float, per_try: float) -> None:
    built = action(**changes)

    assert built.timeout.ToTimedelta().total_seconds() == timeout
    assert built.retry_policy.per_try_timeout.ToTimedelta().total_seconds() == per_try


def test_no_retries_unless_asked_for() -> None:
    assert not action().HasField("retry_policy")


def test_retries() -> None:
    policy = action(retries={"attempts": 2, "on": ["reset", 503, "5xx"], "methods": ["GET", "POST"]}).retry_policy

    assert policy.retry_on == "5xx,reset,retriable-status-codes"
    assert list(policy.retriable_status_codes) == [503]
    assert policy.num_retries.value == 2
    assert policy.retriable_request_headers[0].name == ":method"
    assert policy.retriable_request_headers[0].string_match.safe_regex.regex == "GET|POST"
    assert [item.name for item in policy.retry_host_predicate] == ["envoy.retry_host_predicates.previous_hosts"]


def test_retries_of_the_upstream_hold_where_the_route_says_nothing() -> None:
    upstreams = {"email": {**UPSTREAM, "retries": {"attempts": 3}}}

    assert action(upstreams).retry_policy.num_retries.value == 3
    assert action(upstreams, retries={"attempts": 1}).retry_policy.num_retries.value == 1


@pytest.mark.parametrize(
    ("upstream", "host"),
    [
        pytest.param(UPSTREAM, {}, id="one-of-our-own"),
        pytest.param({"url": "http://email:8080"}, {}, id="one-of-our-own-by-name"),
        pytest.param(PUBLIC, {"host_rewrite_literal": "api.example.com"}, id="a-public-service"),
        pytest.param({**PUBLIC, "host_header": "client"}, {}, id="as-the-client-sent-it"),
        pytest.param({**UPSTREAM, "host_header": "a.internal"}, {"host_rewrite_literal": "a.internal"}, id="a-name"),
        pytest.param(
            {**UPSTREAM, "host_header": "upstream"}, {"host_rewrite_literal": "127.0.0.1:9001"}, id="with-its-port"
        ),
        pytest.param(
            {"endpoints": ["https://a.example.com", "https://b.example.com"]},
            {"auto_host_rewrite": True},
            id="each-endpoint-its-own",
        ),
    ],
)
def test_the_host_that_an_upstream_sees(upstream: dict[str, Any], host: dict[str, Any]) -> None:
    told = as_dict(action({"email": upstream}))

    assert {key: told[key] for key in told if "host_rewrite" in key} == host
    assert told.get("append_x_forwarded_host", False) is bool(host)


def test_weights() -> None:
    shares = [{"name": "b", "weight": 1}, {"name": "a", "weight": 0}]
    built = action({"a": UPSTREAM, "b": UPSTREAM}, upstream=shares)

    assert as_dict(built.weighted_clusters) == {"clusters": [{"name": "a", "weight": 0}, {"name": "b", "weight": 1}]}
    assert not built.append_x_forwarded_host


def test_weighted_upstreams_with_hosts_of_their_own() -> None:
    shares = [{"name": "own", "weight": 1}, {"name": "public", "weight": 1}]
    built = action({"own": UPSTREAM, "public": PUBLIC}, upstream=shares)
    own, public = built.weighted_clusters.clusters

    assert (own.host_rewrite_literal, list(own.request_headers_to_add)) == ("", [])
    assert public.host_rewrite_literal == "api.example.com"
    (told,) = public.request_headers_to_add
    assert (told.header.key, told.header.value) == ("x-forwarded-host", "%REQ(:AUTHORITY)%")


def test_one_host_for_all_weighted_upstreams_is_the_routes() -> None:
    shares = [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]
    built = action({"a": PUBLIC, "b": {**PUBLIC, "connect_timeout": "1s"}}, upstream=shares)

    assert built.host_rewrite_literal == "api.example.com"
    assert not any(item.host_rewrite_literal for item in built.weighted_clusters.clusters)


def test_a_mirror() -> None:
    (policy,) = action({"email": UPSTREAM, "shadow": PUBLIC}, mirror=MIRROR).request_mirror_policies

    assert as_dict(policy) == {
        "cluster": "shadow",
        "runtime_fraction": {"default_value": {"numerator": 125_000, "denominator": "MILLION"}},
        "disable_shadow_host_suffix_append": True,
        "host_rewrite_literal": "api.example.com",
    }


@pytest.mark.parametrize(
    ("hash_by", "expected"),
    [
        pytest.param("ip", {"connection_properties": {"source_ip": True}}, id="ip"),
        pytest.param("subject", {"header": {"header_name": "x-tollgate-subject"}}, id="subject"),
        pytest.param("header x-user", {"header": {"header_name": "x-user"}}, id="header"),
        pytest.param("cookie session", {"cookie": {"name": "session"}}, id="cookie"),
    ],
)
def test_what_sends_requests_to_one_endpoint(hash_by: str, expected: dict[str, Any]) -> None:
    balanced = {**UPSTREAM, "load_balancing": {"policy": "maglev", "hash_by": hash_by}}
    built = action({"email": balanced})

    assert [as_dict(policy) for policy in built.hash_policy] == [expected]


def test_a_hash_chooses_among_weighted_upstreams_too() -> None:
    balanced = {**UPSTREAM, "load_balancing": {"policy": "maglev", "hash_by": "ip"}}
    shares = [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]

    assert action({"a": balanced, "b": balanced}, upstream=shares).weighted_clusters.use_hash_policy.value
