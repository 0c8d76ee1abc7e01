"""Every name that one process writes and another reads, tried on both."""

import re
from typing import Any
from uuid import UUID

import pytest
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2 as header_to_metadata_pb
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2 as rate_limit_pb
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.wrappers_pb2 import UInt64Value

from authz_service.answer import allowed
from authz_service.identity import Grant
from authz_service.request import KINDS, Ask, parse_ask
from control_plane.config.model import CredentialKind
from control_plane.ir.model import Gateway
from control_plane.ir.model import Route as RouteIR
from control_plane.policies.limits import DIMENSIONS, limit_set, limited
from control_plane.server.types import ENVOYS, SERVICES
from control_plane.xds import names
from control_plane.xds.filters import ext_authz, identity
from control_plane.xds.filters.chain import typed_per_filter_config
from ratelimit_service import policy as limits_read
from ratelimit_service.descriptors import Ask as LimitAsk
from ratelimit_service.descriptors import End as LimitEnd
from ratelimit_service.descriptors import read_call
from service_kit import contract
from tests.support.compiled import IDENTITY, compiled, config, private, route

GRANT = Grant(
    subject="alice", consumer="acme", named_consumer="acme", tenant="t", plan=None, key_id=None,
    scopes=frozenset(), roles=frozenset(), forward=False,
)  # fmt: skip


def gateway() -> Gateway:
    return compiled(
        config(
            identity=IDENTITY,
            plans={"free": {"limits": [{"requests": "60/minute"}]}},
            routes=[
                private(
                    require={
                        "scopes": ["mail.send", "mail.read"],
                        "roles": ["admin", "user"],
                        "plans": ["free"],
                        "mode": "report",
                    }
                ),
                route("public", "/public", limits=[{"requests": "1/second", "per": "ip"}]),
                private("chat", "/v1/chat/completions", methods=["POST"], tokens={"most": 100}),
                private("slow", "/slow", limits=[{"concurrent": 5}], cost=3),
            ],
        )
    ).gateway


def a_route(name: str = "email") -> RouteIR:
    return next(item for item in gateway().routes if item.name == name)


def extensions() -> dict[str, str]:
    said = typed_per_filter_config(a_route())[names.EXT_AUTHZ]
    return dict(ext_authz_pb.ExtAuthzPerRoute.FromString(said.value).check_settings.context_extensions)


def test_a_route_hands_over_exactly_what_the_authorizer_reads() -> None:
    # Only calls of language models have a dialect.
    assert extensions().keys() == contract.EXTENSIONS - {contract.EXTENSION_DIALECT}


def test_the_authorizer_understands_a_compiled_route() -> None:
    request = auth_pb.CheckRequest()
    request.attributes.context_extensions.update(extensions())

    ask = parse_ask(request.SerializeToString())

    demand = a_route().demand
    assert demand
    assert isinstance(ask, Ask)
    assert (ask.route, ask.profile, ask.accept) == ("email", demand.profile, frozenset(demand.accept))
    assert (ask.scopes, ask.roles) == (("mail.read", "mail.send"), ("admin", "user"))


def test_every_kind_of_credential_of_the_language_is_known_to_the_authorizer() -> None:
    assert frozenset(CredentialKind.__args__) == KINDS  # type: ignore[attr-defined]  # of a Literal


def written_headers(grant: Grant) -> dict[str, str]:
    response = auth_pb.CheckResponse.FromString(allowed(grant, "p-1", str(UUID(int=1))))
    return {item.header.key: item.header.value for item in response.ok_response.headers}


def metadata_rules() -> dict[str, header_to_metadata_pb.Config.Rule]:
    (link,) = identity.filters(gateway())
    assert link.typed_config
    rules = header_to_metadata_pb.Config.FromString(link.typed_config.value).request_rules
    return {rule.header: rule for rule in rules}


def test_envoy_reads_each_header_that_the_authorizer_writes() -> None:
    assert metadata_rules().keys() == written_headers(GRANT).keys()
    assert set(written_headers(GRANT).values()) == {"alice", "acme", "t", "-", "p-1"}


def test_each_header_becomes_its_own_part_of_the_identity() -> None:
    rules = metadata_rules()

    found = {header: rule.on_header_present for header, rule in rules.items()}
    assert {header: pair.key for header, pair in found.items()} == {
        contract.identity_header(part): part for part in contract.IDENTITY_PARTS
    }
    assert {pair.metadata_namespace for pair in found.values()} == {contract.IDENTITY_NAMESPACE}
    assert {rule.on_header_missing.value for rule in rules.values()} == {contract.MISSING}


def forbidden(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in contract.CLIENT_FORBIDDEN_HEADERS)


def test_clients_cannot_bring_a_header_of_the_identity() -> None:
    assert all(forbidden(contract.identity_header(part)) for part in contract.IDENTITY_PARTS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("x-tollgate-anything", True, id="ours"),
        pytest.param("x.tollgate.subject", True, id="an alias"),
        pytest.param("x-tollgate", True, id="the bare word"),
        pytest.param("x-envoy-original-path", True, id="envoys"),
        pytest.param("x-request-id", True, id="the request id"),
        pytest.param("x-forwarded-for", True, id="where from"),
        pytest.param("x-forwarded-proto", False, id="envoy overwrites it"),
        pytest.param("x-tollgates", False, id="another word"),
        pytest.param("x-environment", False, id="another beginning"),
        pytest.param("authorization", False, id="the credential"),
        pytest.param("proxy-connection", False, id="beginning like a forbidden one"),
    ],
)
def test_what_clients_may_bring(name: str, expected: bool) -> None:
    assert forbidden(name) == expected


def test_the_authorizer_may_set_what_it_sets() -> None:
    headers = [*written_headers(GRANT), "authorization"]
    pattern = "|".join(ext_authz.HEADERS_CHANGED)
    assert [name for name in headers if not re.fullmatch(pattern, name)] == []


def descriptors(name: str, metadata: dict[str, str], address: str, *, done: bool = False) -> list[Any]:
    """What Envoy makes of a compiled route's actions; a number that it prints is 7 here."""
    said = typed_per_filter_config(a_route(name))[names.STREAM_ENDS if done else names.RATELIMIT]
    per_route = rate_limit_pb.RateLimitPerRoute.FromString(said.value)
    return [
        ratelimit_pb2.RateLimitDescriptor(
            entries=[entry(action, metadata, address) for action in limit.actions], hits_addend=hits(limit)
        )
        for limit in per_route.rate_limits
        if limit.apply_on_stream_done == done
    ]


def hits(limit: route_pb.RateLimit) -> UInt64Value | None:
    if not limit.HasField("hits_addend"):
        return None
    return UInt64Value(value=7) if limit.hits_addend.format else limit.hits_addend.number


def entry(action: route_pb.RateLimit.Action, metadata: dict[str, str], address: str) -> Any:
    kind = action.WhichOneof("action_specifier")
    if kind == "generic_key":
        pair = (action.generic_key.descriptor_key, action.generic_key.descriptor_value)
    elif kind == "metadata":
        (segment,) = action.metadata.metadata_key.path
        assert action.metadata.metadata_key.key == contract.IDENTITY_NAMESPACE
        pair = (action.metadata.descriptor_key, metadata.get(segment.key) or action.metadata.default_value)
    elif kind == "request_headers":
        assert action.request_headers.header_name == contract.REQUEST_ID_HEADER
        pair = (action.request_headers.descriptor_key, "the-request-id")
    else:
        assert kind == "remote_address"
        pair = ("remote_address", address)
    return ratelimit_pb2.RateLimitDescriptor.Entry(key=pair[0], value=pair[1])


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        pytest.param(
            "email",
            {"subject": "alice", "tenant": "t", "consumer": "acme", "plan": "free", "key_id": "k", "profile": "p"},
            LimitAsk("email", "alice", "t", "acme", "free", ip="192.0.2.7/32"),
            id="identified",
        ),
        pytest.param(
            "email",
            {"subject": "alice", "tenant": "-", "consumer": "-", "plan": "-"},
            LimitAsk("email", "alice", None, None, None, ip="192.0.2.7/32"),
            id="partly",
        ),
        pytest.param("public", {}, LimitAsk("public", None, None, None, None, ip="192.0.2.7/32"), id="nobody"),
    ],
)
def test_the_limiter_understands_a_compiled_route(name: str, metadata: dict[str, str], expected: LimitAsk) -> None:
    assert told(descriptors(name, metadata, "192.0.2.7")) == expected


def told(found: list[Any]) -> LimitAsk | LimitEnd | Any:
    request = rls_pb2.RateLimitRequest(domain=contract.RATELIMIT_DOMAIN, descriptors=found)
    return read_call(request.SerializeToString())


@pytest.mark.parametrize(
    ("name", "cost", "asked", "passed"),
    [
        pytest.param("chat", 1, contract.NUMBERS_ASKED, contract.NUMBERS_DONE, id="metered"),
        pytest.param("slow", 3, (), ("received", "sent", "status"), id="counted-while-under-way"),
    ],
)
def test_the_limiter_understands_both_calls_of_a_route_that_holds(
    name: str, cost: int, asked: tuple[str, ...], passed: tuple[str, ...]
) -> None:
    begins = told(descriptors(name, {"subject": "alice"}, "192.0.2.7"))
    ends = told(descriptors(name, {"subject": "alice"}, "192.0.2.7", done=True))

    assert isinstance(begins, LimitAsk)
    assert isinstance(ends, LimitEnd)
    for call in (begins, ends):
        assert (call.route, call.subject, call.ip, call.hold) == (name, "alice", "192.0.2.7/32", "the-request-id")
    assert begins.hits == cost
    assert (tuple(begins.numbers), tuple(ends.numbers)) == (asked, passed)


def test_a_set_has_the_name_by_which_the_limiter_looks_for_it() -> None:
    table = limits_read.PolicyTable()
    sets = {name: limits.SerializeToString() for name, limits in map(limit_set, limited(gateway()))}
    table.apply(contract.LIMIT_SET_TYPE, sets, ())

    for found, rules in (("public", 1), ("email", 0), ("slow", 1)):
        assert len(require(table.current.of_route(found)).rules) == rules
    assert len(require(table.current.of_plan("free")).rules) == 1
    assert require(table.current.of_route("chat")).prices is not None


def require(found: limits_read.RuleSet | None) -> limits_read.RuleSet:
    assert found is not None
    return found


def test_a_dimension_means_the_same_on_both_sides() -> None:
    assert {dimension.value: number for dimension, number in DIMENSIONS.items()} == {
        dimension.value: number for number, dimension in limits_read.DIMENSIONS.items()
    }


def test_consumers_are_told_what_is_for_them() -> None:
    assert (ENVOYS.cluster, SERVICES.cluster) == (contract.ENVOY_NODE_CLUSTER, contract.SERVICE_NODE_CLUSTER)


@pytest.mark.parametrize(("part", "header"), [("subject", "x-tollgate-subject"), ("key_id", "x-tollgate-key-id")])
def test_identity_headers(part: str, header: str) -> None:
    assert contract.identity_header(part) == header


def test_no_two_parts_share_a_header() -> None:
    assert len({contract.identity_header(part) for part in contract.IDENTITY_PARTS}) == len(contract.IDENTITY_PARTS)
    assert set(contract.DESCRIPTOR_IDENTITY) < set(contract.IDENTITY_PARTS)
