"""The numbers of a call in metadata: what the request asks for, and what a whole answer says it came to.

Off, and turned on by metered routes: `json_to_metadata` makes Envoy choose the route anew, so it stands before the
guard of profiles. What no answer tells is 0, so that the stream's end never lacks a number for that.
"""

from envoy_data_plane.envoy.extensions.filters.http.json_to_metadata.v3 import JsonToMetadata, JsonToMetadataMatchRules
from envoy_data_plane.envoy.extensions.filters.http.set_metadata.v3 import Config, Metadata
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher
from envoy_data_plane.google.protobuf import Any, Struct

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters import body_rewrite
from control_plane.xds.filters.llm.groups import is_last
from control_plane.xds.filters.metering import fields
from control_plane.xds.filters.per_route import ON, PerRoute
from service_kit import contract

# Answers are read whatever their charset: what cannot be read is estimated.
JSON_ANSWERS = r"(?i)application/([a-z0-9.+-]+\+)?json\s*(;.*)?"


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Both, where a route is metered."""
    if not metered(gateway):
        return ()
    unused = Metadata(
        metadata_namespace=contract.USAGE_NAMESPACE, value=Struct.from_dict(dict.fromkeys(contract.NUMBERS_READ, 0))
    )
    reader = JsonToMetadata(
        request_rules=JsonToMetadataMatchRules(
            # Nothing else passes the guard of bodies.
            allow_content_types_regex=RegexMatcher(regex=body_rewrite.JSON_TYPE),
            rules=fields.asked(),
        ),
        response_rules=JsonToMetadataMatchRules(
            allow_content_types_regex=RegexMatcher(regex=JSON_ANSWERS), rules=fields.used()
        ),
    )
    return (
        HttpFilter(name=names.UNUSED_TOKENS, typed_config=Any.pack(Config(metadata=[unused])), disabled=True),
        HttpFilter(name=names.JSON_TOKENS, typed_config=Any.pack(reader), disabled=True),
    )


def per_route(route: Route | None) -> PerRoute:
    """On where the route is metered, or one that takes its requests."""
    if not reads_bodies(route):
        return {}
    return {names.UNUSED_TOKENS: ON, names.JSON_TOKENS: ON}


def metered(gateway: Gateway) -> bool:
    """Whether any route's tokens are counted, or bodies are read to find it."""
    return any(map(reads_bodies, gateway.routes))


def reads_bodies(route: Route | None) -> bool:
    """Whether the route is metered, or takes the requests of a group before their bodies are read."""
    return route is not None and (route.tokens is not None or is_last(route))
