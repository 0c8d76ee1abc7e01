"""Which web pages may call a route: preflights are answered here, and answers say who may read them.

Envoy adds no `Vary`; without it a shared cache would serve one page's permission to another. A filter beside adds it.
"""

import re

from envoy.extensions.filters.http.cors.v3 import cors_pb2 as cors_pb
from envoy.type.matcher.v3 import string_pb2 as string_pb
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption, HeaderValueOptionHeaderAppendAction
from envoy_data_plane.envoy.extensions.filters.http.cors.v3 import Cors as CorsFilter
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Cors, Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import packed

# What pages may do on a route that takes all methods.
USUAL_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
ANY_ORIGIN = ".+"
LABELS = r"[a-z0-9-]+(\.[a-z0-9-]+)*"


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Both where a route has rules for pages; off where it has none."""
    if not any(route.cors for route in gateway.routes):
        return ()
    return (
        HttpFilter(name=names.CORS_VARY, typed_config=Any.pack(_vary()), disabled=True),
        HttpFilter(name=names.CORS, typed_config=Any.pack(CorsFilter()), disabled=True),
    )


def per_route(route: Route | None) -> PerRoute:
    """The route's rules for pages."""
    if route is None or route.cors is None:
        return {}
    return {names.CORS: packed(_policy(route.cors)), names.CORS_VARY: ON}


def _vary() -> HeaderMutation:
    vary = HeaderValueOption(
        header=HeaderValue(key="vary", value="Origin"),
        append_action=HeaderValueOptionHeaderAppendAction.APPEND_IF_EXISTS_OR_ADD,
    )
    return HeaderMutation(mutations=Mutations(response_mutations=[Mutation(append=vary)]))


def _policy(cors: Cors) -> cors_pb.CorsPolicy:
    policy = cors_pb.CorsPolicy(
        allow_origin_string_match=map(_origin, cors.origins),
        allow_methods=",".join(cors.methods or USUAL_METHODS),
        allow_headers=",".join(cors.headers),
        expose_headers=",".join(cors.expose),
        max_age=str(cors.max_age),
    )
    policy.allow_credentials.value = cors.credentials
    # A preflight of another page goes on to the answer behind it, which is the gateway's own (`preflight.py`): answered
    # by this filter, it would be told methods and headers.
    policy.forward_not_matching_preflights.value = True
    return policy


def _origin(origin: str) -> string_pb.StringMatcher:
    matcher = string_pb.StringMatcher()
    if "*" in origin:
        # Matches the whole value: nothing stands before the scheme or behind the host, a port only where it is written.
        matcher.safe_regex.regex = ANY_ORIGIN if origin == "*" else re.escape(origin).replace(r"\*", LABELS)
    else:
        matcher.exact = origin
    return matcher
