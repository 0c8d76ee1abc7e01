"""The call to the authorizer: on for every request, off by name on public routes, refused when no answer comes."""

import re
from collections.abc import Iterator
from datetime import timedelta

from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRules
from envoy_data_plane.envoy.config.core.v3 import ApiVersion, GrpcService, GrpcServiceEnvoyGrpc
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import (
    ListStringMatcher,
    MetadataMatcher,
    MetadataMatcherPathSegment,
    RegexMatcher,
    StringMatcher,
    ValueMatcher,
)
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import ApiKeys, Demand, Gateway, Route
from control_plane.ir.native import envoy_judges
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import dialect
from control_plane.xds.filters.native.grant import GRANTED
from control_plane.xds.filters.native.matching import VERDICTS
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

TIMEOUT = timedelta(seconds=1)
# What the authorizer sees of every request's headers, and may change.
HEADERS_SHOWN = ("authorization", contract.REQUEST_ID_HEADER)
HEADERS_CHANGED = (rf"{contract.INTERNAL_HEADER_PREFIX}[a-z-]+", "authorization")


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Fails closed: no answer in time, a dead service or an answer that cannot be applied is a refusal."""
    check = ExtAuthz(
        transport_api_version=ApiVersion.V3,
        grpc_service=GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=names.AUTHZ_CLUSTER), timeout=TIMEOUT),
        failure_mode_allow=False,
        filter_enabled_metadata=not_granted() if envoy_judges(gateway) else None,
        clear_route_cache=False,
        status_on_error=HttpStatus(code=StatusCode.ServiceUnavailable),
        validate_mutations=True,
        # Without it, repeated headers reach the service joined by a comma: two credentials would look like one.
        encode_raw_headers=True,
        include_peer_certificate=gateway.mtls is not None,
        allowed_headers=ListStringMatcher(patterns=[StringMatcher(exact=name) for name in _shown(gateway.api_keys)]),
        decoder_header_mutation_rules=HeaderMutationRules(
            disallow_all=True, allow_expression=RegexMatcher(regex="|".join(_changed(gateway.api_keys)))
        ),
    )
    return (HttpFilter(name=names.EXT_AUTHZ, typed_config=Any.pack(check)),)


def _shown(keys: ApiKeys | None) -> Iterator[str]:
    """Where credentials may be, and whence the request comes: keys may be for some networks alone."""
    yield from HEADERS_SHOWN
    if keys is not None:
        yield from _places(keys)
        yield contract.CLIENT_ADDRESS_HEADER


def _changed(keys: ApiKeys | None) -> Iterator[str]:
    """Expressions of whole names. The path is changed and not its parameters, which Envoy would sort and respell."""
    yield from HEADERS_CHANGED
    if keys is not None:
        yield from map(re.escape, _places(keys))
        if keys.query is not None:
            yield ":path"


def _places(keys: ApiKeys) -> Iterator[str]:
    yield from (name for name in keys.headers if name not in HEADERS_SHOWN)
    if keys.cookie is not None:
        yield "cookie"


def not_granted() -> MetadataMatcher:
    """Whatever Envoy did not find to be allowed on the very route is asked about."""
    return MetadataMatcher(
        filter=VERDICTS,
        path=[MetadataMatcherPathSegment(key=GRANTED)],
        value=ValueMatcher(present_match=True),
        invert=True,
    )


def per_route(route: Route | None) -> PerRoute:
    """The route's demands travel with the request; a route that has none makes no call."""
    if route is None or route.demand is None:
        return {names.EXT_AUTHZ: packed(ext_authz_pb.ExtAuthzPerRoute(disabled=True))}
    settings = ext_authz_pb.CheckSettings(context_extensions=_extensions(route, route.demand))
    return {names.EXT_AUTHZ: packed(ext_authz_pb.ExtAuthzPerRoute(check_settings=settings))}


def _extensions(route: Route, demand: Demand) -> dict[str, str]:
    said = {
        contract.EXTENSION_ROUTE: route.name,
        contract.EXTENSION_PROFILE: demand.profile,
        contract.EXTENSION_ACCEPT: " ".join(demand.accept),
        contract.EXTENSION_SCOPES: " ".join(demand.scopes),
        contract.EXTENSION_ROLES: " ".join(demand.roles),
    }
    # Only where there is something to say: an authorizer of another version refuses what it does not know.
    if demand.plans:
        said[contract.EXTENSION_PLANS] = " ".join(demand.plans)
    if demand.report:
        said[contract.EXTENSION_MODE] = contract.MODE_REPORT
    if (spoken := dialect(route)) is not None:
        said[contract.EXTENSION_DIALECT] = spoken.value
    return said
