"""What differs between two gateways, and a gateway that is a part of another: what an edit touched, and no more.

A part stands by itself: it has what its routes go to, and all that is not a route or an upstream, which is shared by
all of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from control_plane.ir.model import Gateway, Listener, Route, Upstream


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
        upstreams=_changed(new.upstreams, old.upstreams),
        listeners=_changed(new.listeners, old.listeners),
        shared=_shared(new) != _shared(old),
    )


def part(gateway: Gateway, routes: frozenset[str], upstreams: frozenset[str]) -> Gateway:
    """The gateway with these routes and upstreams alone, and the upstreams of the routes; unknown names are ignored."""
    kept = tuple(route for route in gateway.routes if route.name in routes)
    named = upstreams.union(*map(named_upstreams, kept))
    return replace(
        gateway, routes=kept, upstreams=tuple(upstream for upstream in gateway.upstreams if upstream.name in named)
    )


def named_upstreams(route: Route) -> frozenset[str]:
    """Whoever gets requests of the route, or copies of them."""
    return frozenset(_named_upstreams(route))


def _named_upstreams(route: Route) -> Iterator[str]:
    if route.forward is not None:
        yield from (destination.upstream for destination in route.forward.destinations)
        if route.forward.mirror is not None:
            yield route.forward.mirror.upstream


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
    """The gateway but for what has names that edits are told by."""
    return replace(gateway, listeners=(), upstreams=(), routes=())
