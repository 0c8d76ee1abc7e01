"""The call to the rate-limit service: one instance, one call, on routes that have a limit or whose callers may.

Which limits apply is the service's knowledge; a call only says which route, who, and from where.
"""

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

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

TIMEOUT = timedelta(seconds=1)


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Fails closed: without an answer the call is refused with 503."""
    limit = RateLimit(
        domain=contract.RATELIMIT_DOMAIN,
        timeout=TIMEOUT,
        failure_mode_deny=True,
        status_on_error=HttpStatus(code=StatusCode.ServiceUnavailable),
        disable_x_envoy_ratelimited_header=True,
        metadata_namespace=contract.LIMIT_NAMESPACE,
        rate_limit_service=RateLimitServiceConfig(
            transport_api_version=ApiVersion.V3,
            grpc_service=GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=names.RATELIMIT_CLUSTER)),
        ),
    )
    return (HttpFilter(name=names.RATELIMIT, typed_config=Any.pack(limit)),)


def per_route(route: Route | None) -> PerRoute:
    """A call where a limit may apply."""
    if route is None or not route.asks_limiter:
        return {}
    return {names.RATELIMIT: asked(route.name, cost=route.cost)}


def asked(route: str, *, cost: int) -> ProtoAny:
    """One descriptor that Envoy cannot drop, and one with the client's address; both with a call's cost above 1."""
    descriptors = [_caller(route), _address()]
    for descriptor in descriptors if cost > 1 else ():
        descriptor.hits_addend.number.value = cost
    return packed(rate_limit_pb.RateLimitPerRoute(rate_limits=descriptors))


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


def _address() -> route_pb.RateLimit:
    limit = route_pb.RateLimit()
    address = limit.actions.add().masked_remote_address
    address.v4_prefix_mask_len.value = 32
    # A host has a whole /64 to call from.
    address.v6_prefix_mask_len.value = 64
    return limit
