"""What a route says about itself: to filters that read it, and to the log, which is what the ledger is made of."""

import hashlib
from collections.abc import Iterator

from envoy.config.core.v3 import base_pb2 as base_pb

from control_plane.ir.model import ModelCall, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import dialect
from control_plane.xds.packing import JsonValue

POLICY_BYTES = 6


def route_metadata(route: Route) -> base_pb.Metadata:
    """Who it is, what a call costs and counts as, and by which rules; nothing where nothing counts its calls."""
    metadata = base_pb.Metadata()
    if said := dict(_said(route)):
        metadata.filter_metadata[names.ROUTE_METADATA].update(said)
    return metadata


def policy_version(route: Route) -> str:
    """Changes when the route's rules or prices do, and only then."""
    targets = None if route.model is None else route.model.targets
    rules = (route.limits, route.exempt, route.usage, route.cost, route.tokens, *((targets,) if targets else ()))
    return hashlib.blake2b(repr(rules).encode(), digest_size=POLICY_BYTES).hexdigest()


def _said(route: Route) -> Iterator[tuple[str, JsonValue]]:
    counted = route.asks_limiter or route.tokens is not None or bool(route.usage)
    if counted or route.limited_here:
        yield names.ROUTE_METADATA_NAME, route.known_as
        # Of an exempt route tokens are known, and its calls count in nothing.
        yield names.ROUTE_METADATA_COST, 0 if route.exempt and not route.limited_here else route.cost
    if counted:
        yield names.ROUTE_METADATA_POLICY, policy_version(route)
    if route.usage:
        yield names.ROUTE_METADATA_USAGE, route.usage
    if route.holds:
        yield names.ROUTE_METADATA_HOLDS, True
    if route.tokens is not None:
        yield names.ROUTE_METADATA_MOST, route.tokens.most
        yield names.ROUTE_METADATA_INPUT_PRICE, route.tokens.input_price
        yield names.ROUTE_METADATA_OUTPUT_PRICE, route.tokens.output_price
    if (spoken := dialect(route)) is not None:
        yield names.ROUTE_METADATA_DIALECT, spoken.value
    if route.model is not None:
        yield names.ROUTE_METADATA_MODEL, route.model.model
        yield names.ROUTE_METADATA_TARGETS, _targets(route.model)


def _targets(call: ModelCall) -> JsonValue:
    """Who may answer, by cluster, and what tokens cost there."""
    return {
        item.cluster: {
            "upstream": item.upstream,
            "model": item.model,
            names.ROUTE_METADATA_INPUT_PRICE: item.input_price,
            names.ROUTE_METADATA_OUTPUT_PRICE: item.output_price,
        }
        for group in call.targets
        for item in group
    }
