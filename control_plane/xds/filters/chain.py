"""What a filter of the chain is, and the order in which they run, which is the order in which a request is judged.

The order is data: each line of FILTER_CHAIN has its reason. `ChainLink.filters` makes the entries of the connection
manager, `ChainLink.per_route` what a route says to them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.ir.model import Gateway, Listener, Route
from control_plane.xds.filters import (
    adaptive_concurrency,
    bandwidth,
    body_limit,
    body_rewrite,
    cache,
    compression,
    cors,
    ext_authz,
    fault,
    forwarding,
    health,
    identity,
    instance_limits,
    ip_list,
    profile_guard,
    ratelimit,
    router,
)
from control_plane.xds.filters.llm import any_type, events, lines, of_plans, parameters, permission
from control_plane.xds.filters.metering import bodies, guard, spellings, streams
from control_plane.xds.filters.native import grant, own, passage, token, verified
from control_plane.xds.filters.per_route import PerRoute
from service_kit import contract

ACCEPT_ENCODING = "accept-encoding"
INTERNAL = tuple(contract.identity_header(part) for part in ("profile", contract.IDENTITY_MODELS))


def nothing_per_route(_route: Route | None) -> PerRoute:
    """Of a filter that treats all routes alike."""
    return {}


@dataclass(frozen=True)
class ChainLink:
    """A filter, or several instances of one; `route` is None for requests that match no route."""

    filters: Callable[[Gateway], tuple[HttpFilter, ...]]
    per_route: Callable[[Route | None], PerRoute] = nothing_per_route


@dataclass(frozen=True)
class ListenerLink:
    """A filter that some listeners have and others lack. Routes are shared by all, so none speaks to it."""

    filters: Callable[[Listener], tuple[HttpFilter, ...]]


FILTER_CHAIN: tuple[ChainLink | ListenerLink, ...] = (
    # Probes are answered before anything can refuse them.
    ChainLink(health.filters),
    # What the two sides are told of each other, whatever answers.
    ListenerLink(forwarding.filters),
    # Last on the way back: whatever else reads or keeps an answer sees it as the upstream sent it.
    ListenerLink(compression.filters),
    # Preflights carry no credential, and a page may read an error only if this has seen the request.
    ChainLink(cors.filters, cors.per_route),
    # Before whatever buffers: a body above a buffer limit stalls behind ext_authz instead of being refused.
    ChainLink(body_limit.filters, body_limit.per_route),
    # Who may not call at all is not asked who it is.
    ChainLink(ip_list.filters, ip_list.per_route),
    # What Envoy can say yes to by itself: is the token right, would it be accepted, may it be used here? And who is it:
    # in headers that only a verdict on the route completes.
    ChainLink(verified.filters, verified.per_route),
    ChainLink(token.filters, token.per_route),
    # The same of the gateway's own tokens.
    ChainLink(own.filters, own.per_route),
    ChainLink(grant.filters, grant.per_route),
    ChainLink(passage.identity_filters, passage.identity_per_route),
    # Who is it, and may they? On every route that does not say `auth: none`.
    ChainLink(ext_authz.filters, ext_authz.per_route),
    # The authorizer had to see it; the upstream need not.
    ChainLink(passage.credential_filters, passage.credential_per_route),
    # The answer's headers become the metadata that everything behind reads.
    ChainLink(identity.filters),
    # Who calls may decide what is listed for them: chosen anew as soon as it is known.
    ChainLink(of_plans.filters, of_plans.per_route),
    # Before bodies are read, which are read by their type.
    ChainLink(any_type.filters, any_type.per_route),
    # The numbers of a call whose tokens are counted; reading them makes Envoy choose the route anew.
    ChainLink(bodies.filters, bodies.per_route),
    ChainLink(spellings.filters, spellings.per_route),
    # What the model that was found does not know.
    ChainLink(parameters.filters, parameters.per_route),
    # Behind every filter that could make Envoy choose another route: it may be served only under its own profile.
    ChainLink(profile_guard.filters, profile_guard.per_route),
    # May they call this model? Whom nobody lets in is told so before anything else about the call.
    ChainLink(permission.filters, permission.per_route),
    # Numbers that are none, and what no model of a group took: refused before anybody is asked about them.
    ChainLink(guard.filters, guard.per_route),
    # What this Envoy refuses by itself costs no call, and takes nothing from the limits of the fleet.
    ChainLink(instance_limits.filters, instance_limits.per_route),
    # Only calls that will be made are counted.
    ChainLink(ratelimit.filters, ratelimit.per_route),
    # Buffers whole bodies: only for callers that may, and no more often than they may.
    ChainLink(body_rewrite.filters, body_rewrite.per_route),
    # Stands for trouble of the upstream: the gateway's own rules have been applied, and the call is counted.
    ChainLink(fault.filters, fault.per_route),
    # Behind the trouble, so that its latency is not taken for the upstream's.
    ChainLink(adaptive_concurrency.filters, adaptive_concurrency.per_route),
    # Only bodies that go on, and as they go on.
    ChainLink(bandwidth.filters, bandwidth.per_route),
    # What a stream says that it came to, as the upstream sent it: events of written routes, those of models, and lines.
    ChainLink(streams.filters, streams.per_route),
    ChainLink(events.filters, events.per_route),
    ChainLink(lines.filters, lines.per_route),
    # The last: filters behind it do not run on a hit.
    ChainLink(cache.filters, cache.per_route),
    ChainLink(router.filters),
)


def http_filters(gateway: Gateway, listener: Listener) -> list[HttpFilter]:
    """The filters of a listener, in order."""
    return [item for link in FILTER_CHAIN for item in _filters(link, gateway, listener)]


def _filters(link: ChainLink | ListenerLink, gateway: Gateway, listener: Listener) -> tuple[HttpFilter, ...]:
    return link.filters(listener) if isinstance(link, ListenerLink) else link.filters(gateway)


def typed_per_filter_config(route: Route | None) -> PerRoute:
    """What a route says to the filters, by filter name; of the answer to unmatched requests where `route` is None."""
    links = (link for link in FILTER_CHAIN if isinstance(link, ChainLink))
    return {name: config for link in links for name, config in link.per_route(route).items()}


def speak(built: route_pb.Route, route: Route | None) -> None:
    """Says to the filters what the route does, or an answer where there is none."""
    for name, config in typed_per_filter_config(route).items():
        built.typed_per_filter_config[name].CopyFrom(config)


def internal_headers(route: Route) -> list[str]:
    """Headers between filters, which no upstream gets: of the identity, upstreams get who it is, and no rules."""
    marks = [body_rewrite.MARK] if body_rewrite.rewrites(route) else []
    # Nothing could be read of an answer that is compressed.
    encodings = [] if route.tokens is None else [ACCEPT_ENCODING]
    return [*INTERNAL, *marks, *encodings]
