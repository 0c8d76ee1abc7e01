"""What a provider says of the gateway's own credential: answers of models are marked, so that no client is told it."""

from collections.abc import Iterator

from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.xds import names
from control_plane.xds.filters.llm.refusal import MARK


def mark_faults(route: route_pb.Route) -> Iterator[str]:
    """Of a model's route."""
    said = route.metadata.filter_metadata[names.ROUTE_METADATA].fields
    added = {item.header.key for item in route.response_headers_to_add}
    if names.ROUTE_METADATA_TARGETS in said and MARK not in added:
        yield f"route {route.name!r} tells clients what a provider says of the gateway's own credential"
