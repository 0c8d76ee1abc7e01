"""The call to the rate-limit service: one that asks, on routes that have a limit or whose callers may.

Which limits apply is the service's knowledge; a call only says which route, who, and from where. A call that holds
something until its end says its id as well, and where tokens are counted what it asks for; and when its stream has
ended, a second one says what it came to. That is told by a filter of its own: Envoy tells nothing by one that still
waits for its answer, so a client that hangs up just then would hold what the service has taken already.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2 as rate_limit_pb
from envoy_data_plane.envoy.config.core.v3 import ApiVersion, GrpcService, GrpcServiceEnvoyGrpc
from envoy_data_plane.envoy.config.ratelimit.v3 import RateLimitServiceConfig
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimit
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.protobuf import Any
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Api, Gateway, Metering, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import is_last
from control_plane.xds.filters.metering import demand
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

TIMEOUT = timedelta(seconds=1)
# How many descriptors every call has.
ASKED = 2
# Where the numbers of a stream's end stand.
PASSED = {
    **{
        name: f"%DYNAMIC_METADATA({contract.USAGE_NAMESPACE}:{name})%"
        for name in (*contract.NUMBERS_USED, contract.NUMBER_PIECES)
    },
    contract.NUMBER_RECEIVED: "%BYTES_RECEIVED%",
    contract.NUMBER_SENT: "%BYTES_SENT%",
    contract.NUMBER_STATUS: "%RESPONSE_CODE%",
    contract.NUMBER_ATTEMPTS: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    contract.NUMBER_HELD: f"%DYNAMIC_METADATA({contract.LIMIT_NAMESPACE}:{contract.LIMIT_HELD})%",
}
# What every stream tells, whatever it carried.
ALWAYS_PASSED = (contract.NUMBER_RECEIVED, contract.NUMBER_SENT, contract.NUMBER_STATUS)


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """What asks fails closed: without an answer the call is refused with 503. What tells ends is off, and asks nothing;
    it is in every chain, for connections that were open before the first route whose calls hold something.
    """
    limit = RateLimit(
        domain=contract.RATELIMIT_DOMAIN,
        timeout=TIMEOUT,
        failure_mode_deny=True,
        status_on_error=HttpStatus(code=StatusCode.ServiceUnavailable),
        disable_x_envoy_ratelimited_header=True,
        metadata_namespace=contract.LIMIT_NAMESPACE,
        rate_limit_service=_service(),
    )
    ends = RateLimit(domain=contract.RATELIMIT_DOMAIN, timeout=TIMEOUT, rate_limit_service=_service())
    return (
        HttpFilter(name=names.STREAM_ENDS, typed_config=Any.pack(ends), disabled=True),
        HttpFilter(name=names.RATELIMIT, typed_config=Any.pack(limit)),
    )


def _service() -> RateLimitServiceConfig:
    return RateLimitServiceConfig(
        transport_api_version=ApiVersion.V3,
        grpc_service=GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=names.RATELIMIT_CLUSTER)),
    )


def per_route(route: Route | None) -> PerRoute:
    """A call where a limit may apply; the last of a group turns on what tells of ends."""
    if route is not None and is_last(route):
        return {names.STREAM_ENDS: ON}
    if route is None or not route.asks_limiter:
        return {}
    calls = asked(route.known_as, cost=route.cost)
    if not route.holds:
        return {names.RATELIMIT: _said(calls)}
    metered, answered = route.tokens is not None, route.model is not None
    begun = _begun(None if route.tokens is None else demand.demand(route.tokens, route.model))
    return {
        names.STREAM_ENDS: _said(_done(route.known_as, metered=metered, answered=answered)),
        names.RATELIMIT: _said((*calls, *begun)),
    }


def _said(limits: Iterable[route_pb.RateLimit]) -> ProtoAny:
    return packed(rate_limit_pb.RateLimitPerRoute(rate_limits=limits))


def asked(route: str, *, cost: int) -> tuple[route_pb.RateLimit, route_pb.RateLimit]:
    """One descriptor that Envoy cannot drop, and one with the client's address; both with a call's cost above 1."""
    descriptors = (_caller(route), _address())
    for descriptor in descriptors if cost > 1 else ():
        descriptor.hits_addend.number.value = cost
    return descriptors


def _begun(metering: demand.Demand | None) -> Iterator[route_pb.RateLimit]:
    """What calls say beside that hold something, when they begin."""
    yield _hold(contract.DESCRIPTOR_HOLD)
    if metering is not None:
        yield from _numbers_asked(metering)


def settles(
    begun: Iterable[route_pb.RateLimit],
    done: Iterable[route_pb.RateLimit],
    route: str,
    *,
    metered: bool,
    answered: bool,
) -> bool:
    """Whether this is what such a route says at both ends, whatever numbers stand for what a client leaves out."""
    wanted = _begun(demand.Demand(Metering(Api.CHAT, most=1)) if metered else None)
    ends = list(_done(route, metered=metered, answered=answered))
    return list(done) == ends and list(map(_without_number, begun)) == list(map(_without_number, wanted))


def _without_number(limit: route_pb.RateLimit) -> route_pb.RateLimit:
    rest = route_pb.RateLimit()
    rest.CopyFrom(limit)
    rest.ClearField("hits_addend")
    return rest


def _hold(key: str) -> route_pb.RateLimit:
    """By what a call is known in both of its calls: the id that Envoy gave it, which no client can bring."""
    limit = route_pb.RateLimit()
    limit.actions.add().request_headers.MergeFrom(
        route_pb.RateLimit.Action.RequestHeaders(header_name=contract.REQUEST_ID_HEADER, descriptor_key=key)
    )
    return limit


def _numbers_asked(metering: demand.Demand) -> Iterator[route_pb.RateLimit]:
    """What a metered call asks for, each number by itself; Envoy leaves out what is none."""
    for name in contract.NUMBERS_OUTPUT:
        yield _number(name, demand.held(metering, name))
    yield _number(contract.NUMBER_ANSWERS, f"%DYNAMIC_METADATA({contract.LLM_NAMESPACE}:{contract.NUMBER_ANSWERS})%")
    yield _number(contract.NUMBER_RECEIVED, "%BYTES_RECEIVED%")


def _done(route: str, *, metered: bool, answered: bool) -> Iterator[route_pb.RateLimit]:
    """What calls say when their stream has ended; `answered`: also by whom."""
    caller = _hold(contract.DESCRIPTOR_DONE)
    caller.actions.extend(_caller(route).actions)
    caller.hits_addend.number.value = 0
    numbers = contract.NUMBERS_DONE if metered else ALWAYS_PASSED
    last = (_cluster(),) if answered else ()
    for limit in (caller, _address(), *last, *(_number(name, PASSED[name]) for name in numbers)):
        limit.apply_on_stream_done = True
        yield limit


def _number(name: str, value: str | int) -> route_pb.RateLimit:
    limit = route_pb.RateLimit()
    limit.actions.add().generic_key.MergeFrom(
        route_pb.RateLimit.Action.GenericKey(descriptor_key=contract.DESCRIPTOR_NUMBER, descriptor_value=name)
    )
    if isinstance(value, int):
        limit.hits_addend.number.value = value
    else:
        limit.hits_addend.format = value
    return limit


def _caller(route: str) -> route_pb.RateLimit:
    limit = route_pb.RateLimit()
    limit.actions.add().generic_key.MergeFrom(
        route_pb.RateLimit.Action.GenericKey(descriptor_key=contract.DESCRIPTOR_ROUTE, descriptor_value=route)
    )
    for part in contract.DESCRIPTOR_IDENTITY:
        metadata = limit.actions.add().metadata
        metadata.descriptor_key = part
        metadata.metadata_key.key = contract.IDENTITY_NAMESPACE
        metadata.metadata_key.path.add(key=part)
        metadata.default_value = contract.MISSING
    return limit


def _cluster() -> route_pb.RateLimit:
    """Who was asked last."""
    limit = route_pb.RateLimit()
    limit.actions.add().destination_cluster.SetInParent()
    return limit


def _address() -> route_pb.RateLimit:
    limit = route_pb.RateLimit()
    # Whole: Envoy's own mask puts all IPv4 addresses that are written as IPv6 into one network.
    limit.actions.add().remote_address.SetInParent()
    return limit
