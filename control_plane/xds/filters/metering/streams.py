"""What a stream of events says that the call came to, in metadata; as it passes, and never buffered."""

from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.extensions.content_parsers.json.v3 import JsonContentParser, JsonContentParserRuleConfig
from envoy_data_plane.envoy.extensions.filters.http.sse_to_metadata.v3 import (
    SseToMetadata,
    SseToMetadataProcessingRules,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import in_a_group
from control_plane.xds.filters.metering import fields
from control_plane.xds.filters.metering.bodies import metered, reads_bodies
from control_plane.xds.filters.per_route import ON, PerRoute

# Bytes; of a larger event nothing is read, and it passes all the same.
LARGEST_EVENT = 1 << 20


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and turned on by metered routes."""
    if not metered(gateway):
        return ()
    parser = JsonContentParser(rules=[JsonContentParserRuleConfig(rule=rule) for rule in fields.used()])
    reader = SseToMetadata(
        response_rules=SseToMetadataProcessingRules(
            max_event_size=LARGEST_EVENT,
            content_parser=TypedExtensionConfig(name="envoy.content_parsers.json", typed_config=Any.pack(parser)),
        )
    )
    return (HttpFilter(name=names.STREAMED_TOKENS, typed_config=Any.pack(reader), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where the route is metered; streams of models have readers of their own."""
    return {names.STREAMED_TOKENS: ON} if reads_bodies(route) and not in_a_group(route) else {}
