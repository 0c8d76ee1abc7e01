"""What differs between two gateways, and a gateway that is a part of another: what an edit touched, and no more.

A part stands by itself: it has what its routes go to, and all that is not a route or an upstream, which is shared by
all of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from control_plane.ir.conditions import asks_for_a_model
from control_plane.ir.model import Gateway, Listener, Llm, Route, Upstream, Variant


@dataclass(frozen=True)
class Changed:
    """Names of what is new, different or gone; `shared` where anything else differs: identity, plans, consumers."""

    routes: frozenset[str] = frozenset()
    upstreams: frozenset[str] = frozenset()
    listeners: frozenset[str] = frozenset()
    shared: bool = False


def changed(new: Gateway, old: Gateway) -> Changed:
    """What differs; cheap where what is equal is the same object."""
    return Changed(
        routes=_changed(new.routes, old.routes),
        upstreams=_changed(new.upstreams, old.upstreams) | _of_changed_variants(new, old),
        listeners=_changed(new.listeners, old.listeners),
        shared=_shared(new) != _shared(old),
    )


def part(gateway: Gateway, routes: frozenset[str], upstreams: frozenset[str]) -> Gateway:
    """The gateway with these routes and upstreams alone, and the upstreams of the routes; unknown names are ignored.

    A route of a group comes with the last one of its group, which has to speak to every filter that the others need.
    """
    paths = {route.path for route in gateway.routes if route.name in routes and is_in_a_group(route)}
    kept = tuple(route for route in gateway.routes if route.name in routes or (route.path in paths and is_last(route)))
    named = upstreams.union(*map(named_upstreams, kept))
    return replace(
        gateway,
        routes=kept,
        upstreams=tuple(upstream for upstream in gateway.upstreams if upstream.name in named),
        llm=None if gateway.llm is None else replace(gateway.llm, variants=_used(gateway.llm, kept, upstreams)),
    )


def is_in_a_group(route: Route) -> bool:
    """Whether a request is sent to the route by what its body names, or by the plan of the caller."""
    return route.asked is not None or route.of_plans is not None


def is_last(route: Route) -> bool:
    """Whether the route takes the requests of its group that no other one does."""
    return is_in_a_group(route) and not route.of_plans and not asks_for_a_model(route)


def _used(llm: Llm, routes: Iterable[Route], upstreams: frozenset[str]) -> tuple[Variant, ...]:
    used = frozenset[str]().union(*map(named_clusters, routes))
    return tuple(variant for variant in llm.variants if variant.name in used or variant.upstream in upstreams)


def named_clusters(route: Route) -> frozenset[str]:
    """Upstreams that a route of a model asks, and variants of them, by the names of their clusters."""
    groups = () if route.model is None else route.model.targets
    return frozenset(target.cluster for group in groups for target in group)


def named_upstreams(route: Route) -> frozenset[str]:
    """Whoever gets requests of the route, or copies of them."""
    return frozenset(_named_upstreams(route))


def _named_upstreams(route: Route) -> Iterator[str]:
    if route.model is not None:
        yield from (target.upstream for group in route.model.targets for target in group)
    elif route.forward is not None:
        yield from (destination.upstream for destination in route.forward.destinations)
        if route.forward.mirror is not None:
            yield route.forward.mirror.upstream


def _of_changed_variants(new: Gateway, old: Gateway) -> frozenset[str]:
    """Upstreams that are reached in another way: by another path, for one."""
    if new.llm is old.llm or new.llm is None or old.llm is None:
        return frozenset()
    before = {variant.name: variant for variant in old.llm.variants}
    return frozenset(variant.upstream for variant in new.llm.variants if before.get(variant.name, variant) != variant)


def _changed(new: Iterable[Route | Upstream | Listener], old: Iterable[Route | Upstream | Listener]) -> frozenset[str]:
    if new is old:
        return frozenset()
    before, now = ({item.name: item for item in items} for items in (old, new))
    return frozenset(
        name
        for name in before.keys() | now.keys()
        if (one := before.get(name)) is not (other := now.get(name)) and one != other
    )


def _shared(gateway: Gateway) -> Gateway:
    """The gateway but for what has names that edits are told by, and what is made of their routes."""
    return replace(gateway, listeners=(), upstreams=(), routes=(), llm=None)
