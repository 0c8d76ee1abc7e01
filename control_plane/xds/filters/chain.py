"""What a filter of the chain is, and the order in which they run, which is the order in which a request is judged.

The order is data: each line of FILTER_CHAIN has its reason. `ChainLink.filters` makes the entries of the connection
manager, `ChainLink.per_route` what a route says to them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.ir.model import Gateway, Route
from control_plane.xds.filters import (
    body_limit,
    ext_authz,
    health,
    identity,
    profile_guard,
    ratelimit,
    router,
)
from control_plane.xds.filters.per_route import PerRoute


def nothing_per_route(_route: Route | None) -> PerRoute:
    """Of a filter that treats all routes alike."""
    return {}


@dataclass(frozen=True)
class ChainLink:
    """A filter, or several instances of one; `route` is None for requests that match no route."""

    filters: Callable[[Gateway], tuple[HttpFilter, ...]]
    per_route: Callable[[Route | None], PerRoute] = nothing_per_route


FILTER_CHAIN = (
    # Probes are answered before anything can refuse them.
    ChainLink(health.filters),
    # Before whatever buffers: a body above a buffer limit stalls behind ext_authz instead of being refused.
    ChainLink(body_limit.filters, body_limit.per_route),
    # Who is it, and may they? On every route that does not say `auth: none`.
    ChainLink(ext_authz.filters, ext_authz.per_route),
    # The answer's headers become the metadata that everything behind reads.
    ChainLink(identity.filters),
    # Behind every filter that could make Envoy choose another route: it may be served only under its own profile.
    ChainLink(profile_guard.filters, profile_guard.per_route),
    # Only calls that will be made are counted.
    ChainLink(ratelimit.filters, ratelimit.per_route),
    ChainLink(router.filters),
)


def http_filters(gateway: Gateway) -> list[HttpFilter]:
    """The filters of a listener, in order."""
    return [item for link in FILTER_CHAIN for item in link.filters(gateway)]


def typed_per_filter_config(route: Route | None) -> PerRoute:
    """What a route says to the filters, by filter name; of the answer to unmatched requests where `route` is None."""
    return {name: config for link in FILTER_CHAIN for name, config in link.per_route(route).items()}
