"""Who calls, and from where, on the last step to a model's provider: it is not told, whichever way a call takes."""

from collections.abc import Iterator

from envoy.config.route.v3 import route_components_pb2 as route_pb

from control_plane.xds import names
from control_plane.xds.routes.headers import OF_THE_CALLER


def model_route_faults(route: route_pb.Route) -> Iterator[str]:
    """Of a model's route straight to its upstream; behind a variant, the variant's listener has the last step."""
    said = route.metadata.filter_metadata[names.ROUTE_METADATA].fields
    if names.ROUTE_METADATA_TARGETS in said and route.route.cluster and not names.is_variant(route.route.cluster):
        yield from last_step_faults(route)


def last_step_faults(route: route_pb.Route) -> Iterator[str]:
    """What tells an upstream's endpoints apart may stay."""
    hashed = {item.header.header_name or "cookie" for item in route.route.hash_policy}
    told = sorted({*OF_THE_CALLER} - hashed - {*route.request_headers_to_remove})
    if told:
        yield f"route {route.name!r} tells a model's provider who calls: {', '.join(told)}"
    if route.route.append_x_forwarded_host:
        yield f"route {route.name!r} tells a model's provider which host the client asked for"
