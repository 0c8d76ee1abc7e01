"""The gateway that goes live although a part of it is bad: that part as it was last good, or away, the rest as written.

What belongs together stays together: routes with the upstreams they were written for, a route that goes back with those
of its time. And holding back must open nothing. Where a request could be answered in a way that neither the last good
configuration nor the new one means, the edit goes live as a whole or not at all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from control_plane.gate.fallthrough import opened_by
from control_plane.gate.parts import LISTENERS, ROUTES, UPSTREAMS, Blame, Element, Part, edited, elements
from control_plane.ir.model import Gateway, Listener, Llm, Route, Upstream
from control_plane.ir.order import ordered
from control_plane.ir.part import named_clusters, named_upstreams

TOGETHER: Final = "so nothing of this edit goes live; correct it, or make the changes one after the other"


class Inseparable(Exception):  # noqa: N818 - it is the edit that is inseparable
    """An edit of which nothing may go live, because a part of it may not."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}, {TOGETHER}")


@dataclass(frozen=True)
class Held:
    """The gateway to serve, and what of it is not as written, with the reasons; `absent` is what it lacks entirely."""

    gateway: Gateway
    parts: Blame
    absent: frozenset[Part]


def held_back(new: Gateway, last: Gateway | None, blamed: Blame) -> Held:
    """The new gateway without what is blamed; Inseparable where that would open something."""
    if not blamed:  # the usual case, in which nothing is compared
        return Held(new, {}, frozenset())
    old = last or replace(new, routes=(), upstreams=(), listeners=())
    now, before = elements(new), elements(old)
    touched = edited(new, old)
    parts = _with_what_belongs_to_it({part: why for part, why in blamed.items() if part in now}, now, before, touched)
    _refuse_weaker_judgement(new, old, parts.keys() & before.keys())
    _refuse_what_opens(parts, now, before, touched)
    _refuse_closed_doors(parts, now, before)
    found = {part: before.get(part) if part in parts else item for part, item in now.items()}
    back = frozenset(part.name for part in parts if part.kind == UPSTREAMS)
    gateway = _assembled(new, old, {part: item for part, item in found.items() if item is not None}, back)
    return Held(gateway, parts, frozenset(parts.keys() - before.keys()))


def _with_what_belongs_to_it(
    blamed: Mapping[Part, str],
    now: Mapping[Part, Element],
    before: Mapping[Part, Element],
    touched: Iterable[Part],
) -> Blame:
    """The blamed parts, changed routes to an upstream that is held back, changed upstreams of a route that goes back.

    A route holds what was read from its upstream: paths and hosts. And what an upstream gets from the gateway, such as
    a credential, is for the callers that its routes let in.
    """
    parts = dict(blamed)
    routes = [part for part in touched if part.kind == ROUTES and part in now]
    changed = {
        part
        for part in touched
        if part.kind == UPSTREAMS and part in now and _unmarked(now[part]) != _unmarked(before.get(part))
    }
    grew = True
    while grew:
        size = len(parts)
        for route in routes:
            wanted = _upstreams_of(now[route]) | _upstreams_of(before.get(route))
            if route not in parts:
                cause = next((part for part in sorted(wanted & parts.keys())), None)
                if cause is not None:
                    parts[route] = f"it needs {cause}, which is held back"
            elif route in before:
                for part in sorted(_upstreams_of(before[route]) & changed - parts.keys()):
                    parts[part] = f"{route}, which is held back, needs it as it was"
        grew = len(parts) > size
    return parts


def _upstreams_of(route: Element | None) -> frozenset[Part]:
    names = named_upstreams(route) if isinstance(route, Route) else frozenset[str]()
    return frozenset(Part(UPSTREAMS, name) for name in names)


def _unmarked(item: Element | None) -> Element | None:
    """An upstream without what its routes make of it."""
    return replace(item, cached=False, mirrors=False) if isinstance(item, Upstream) else item


def _refuse_weaker_judgement(new: Gateway, old: Gateway, older: Iterable[Part]) -> None:
    """Who is let in by an old route, or reaches an old upstream, is decided by identity, consumers and plans.

    A token that is new in this edit was made for its routes as they are now, not as they were. Whether that matters
    cannot be told from here, so nothing goes back beside a change of those.
    """
    shared = replace(new, routes=(), upstreams=(), listeners=(), llm=None, system_ca="")
    if shared != replace(old, routes=(), upstreams=(), listeners=(), llm=None, system_ca=""):
        for part in sorted(older):
            raise Inseparable(
                f"{part} would go back to its last good version beside changed identity, plans or consumers"
            )


def _refuse_what_opens(
    parts: Blame, now: Mapping[Part, Element], before: Mapping[Part, Element], touched: Iterable[Part]
) -> None:
    routes = {part.name: (_route(before, part), _route(now, part)) for part in touched if part.kind == ROUTES}
    held = {name: versions for name, versions in routes.items() if Part(ROUTES, name) in parts}
    others = {name: versions for name, versions in routes.items() if name not in held}
    if held and others and (found := opened_by(held, others)) is not None:
        raise Inseparable(
            f"without {Part(ROUTES, found[0])}, its requests could be answered by another route of the same edit, "
            f"{found[1]!r}, in a way that neither the old nor the new configuration means"
        )


def _route(items: Mapping[Part, Element], part: Part) -> Route | None:
    found = items.get(part)
    return found if isinstance(found, Route) else None


def _refuse_closed_doors(parts: Blame, now: Mapping[Part, Element], before: Mapping[Part, Element]) -> None:
    """A listener that goes back may let in whom the rest of the edit counts as kept out, or take another's place."""
    gone = sorted(part for part in before.keys() - now.keys() if part.kind == LISTENERS)
    rest = [part for part in now if part not in parts]
    others = {part: item for part in rest if isinstance(item := now[part], Listener)}
    only_listeners = all(part.kind == LISTENERS or now[part] == before.get(part) for part in rest) and all(
        part.kind == LISTENERS or part in now for part in before
    )
    for part in sorted(parts):
        if part.kind != LISTENERS:
            continue
        old, new = before.get(part), now[part]
        if not isinstance(old, Listener):
            if gone:
                raise Inseparable(f"without {part}, which took the place of {gone[0]}, clients would find no door")
            continue
        if not only_listeners and not _lets_in_the_same(old, new):
            raise Inseparable(f"{part} would go back to its last good version beside other changes")
        for other, item in others.items():
            if item.address == old.address:
                raise Inseparable(f"{part} would go back to its last good version, in whose place is {other}")


def _lets_in_the_same(old: Listener, new: Element) -> bool:
    """Whether they differ in nothing that decides who comes in, how he is known, and what is served to him."""
    if not isinstance(new, Listener) or (old.tls is None) != (new.tls is None):
        return False
    tls = None
    if old.tls is not None and new.tls is not None:
        tls = replace(old.tls, identification=new.tls.identification, minimum_version=new.tls.minimum_version)
    return replace(old, tls=tls, compression=new.compression, max_connections=new.max_connections) == new


def _assembled(new: Gateway, old: Gateway, kept: Mapping[Part, Element], back: frozenset[str]) -> Gateway:
    """A gateway of these elements, and of the old upstreams that its routes need; `back` are upstreams as they were."""
    routes = ordered(item for item in kept.values() if isinstance(item, Route))
    upstreams = {item.name: item for item in kept.values() if isinstance(item, Upstream)}
    needed = frozenset[str]().union(*map(named_upstreams, routes))
    upstreams |= {item.name: item for item in old.upstreams if item.name in needed - upstreams.keys()}
    keeps, copies = _marks(routes)
    return replace(
        new,
        routes=routes,
        upstreams=tuple(
            _marked(item, cached=name in keeps, mirrors=name in copies) for name, item in sorted(upstreams.items())
        ),
        listeners=tuple(
            sorted((item for item in kept.values() if isinstance(item, Listener)), key=lambda item: item.name)
        ),
        llm=_llm(new, old, routes, back),
        system_ca=new.system_ca or old.system_ca,
    )


def _llm(new: Gateway, old: Gateway, routes: Iterable[Route], back: frozenset[str]) -> Llm | None:
    """The models with the ways to them that the routes take: those of an upstream that goes back, as they were."""
    if new.llm is None and old.llm is None:
        return None
    needed = frozenset[str]().union(*map(named_clusters, routes))
    before, now = ({} if llm is None else {item.name: item for item in llm.variants} for llm in (old.llm, new.llm))
    chosen = before | {name: item for name, item in now.items() if item.upstream not in back or name not in before}
    found = tuple(chosen[name] for name in sorted(needed & chosen.keys()))
    llm = new.llm or old.llm
    return llm if llm is None or llm.variants == found else replace(llm, variants=found)


def _marks(routes: Iterable[Route]) -> tuple[frozenset[str], frozenset[str]]:
    """Upstreams whose answers a route keeps, and those that a route sends copies to."""
    forwards = [(route, route.forward) for route in routes if route.forward is not None]
    keeps = (item.upstream for route, forward in forwards if route.cached for item in forward.destinations)
    return frozenset(keeps), frozenset(forward.mirror.upstream for _, forward in forwards if forward.mirror is not None)


def _marked(item: Upstream, *, cached: bool, mirrors: bool) -> Upstream:
    """The same object where nothing is different: what is equal is compared by identity."""
    if (item.cached, item.mirrors) == (cached, mirrors):
        return item
    return replace(item, cached=cached, mirrors=mirrors)
