"""The call to the authorizer: on for every request, off by name on public routes, refused when no answer comes."""

from datetime import timedelta

from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRules
from envoy_data_plane.envoy.config.core.v3 import ApiVersion, GrpcService, GrpcServiceEnvoyGrpc
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import ListStringMatcher, RegexMatcher, StringMatcher
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Demand, Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

TIMEOUT = timedelta(seconds=1)
# All that the authorizer sees of a request's headers, and all that it may change.
HEADERS_SHOWN = ("authorization", contract.REQUEST_ID_HEADER)
HEADERS_CHANGED = rf"{contract.INTERNAL_HEADER_PREFIX}[a-z-]+|authorization"


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Fails closed: no answer in time, a dead service or an answer that cannot be applied is a refusal."""
    check = ExtAuthz(
        transport_api_version=ApiVersion.V3,
        grpc_service=GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=names.AUTHZ_CLUSTER), timeout=TIMEOUT),
        failure_mode_allow=False,
        clear_route_cache=False,
        status_on_error=HttpStatus(code=StatusCode.ServiceUnavailable),
        validate_mutations=True,
        # Without it, repeated headers reach the service joined by a comma: two credentials would look like one.
        encode_raw_headers=True,
        allowed_headers=ListStringMatcher(patterns=[StringMatcher(exact=name) for name in HEADERS_SHOWN]),
        decoder_header_mutation_rules=HeaderMutationRules(
            disallow_all=True, allow_expression=RegexMatcher(regex=HEADERS_CHANGED)
        ),
    )
    return (HttpFilter(name=names.EXT_AUTHZ, typed_config=Any.pack(check)),)


def per_route(route: Route | None) -> PerRoute:
    """The route's demands travel with the request; a route that has none makes no call."""
    if route is None or route.demand is None:
        return {names.EXT_AUTHZ: packed(ext_authz_pb.ExtAuthzPerRoute(disabled=True))}
    settings = ext_authz_pb.CheckSettings(context_extensions=_extensions(route.name, route.demand))
    return {names.EXT_AUTHZ: packed(ext_authz_pb.ExtAuthzPerRoute(check_settings=settings))}


def _extensions(route: str, demand: Demand) -> dict[str, str]:
    return {
        contract.EXTENSION_ROUTE: route,
        contract.EXTENSION_PROFILE: demand.profile,
        contract.EXTENSION_ACCEPT: " ".join(demand.accept),
        contract.EXTENSION_SCOPES: " ".join(demand.scopes),
        contract.EXTENSION_ROLES: " ".join(demand.roles),
    }
