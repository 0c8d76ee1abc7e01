"""All that is made of the models of a configuration: routes, variants of upstreams, and lists.

Hundreds of models are made again only where something that they depend on has changed; the others stay the same
objects, and with them everything that is made of their routes later.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from control_plane.config import model as config
from control_plane.config.discovered import Found
from control_plane.ir import model as ir
from control_plane.ir.checks.ways import translates
from control_plane.ir.limits import Counted
from control_plane.ir.llm.calls import Callee, Common, calls, catch_all, common_to_all
from control_plane.ir.llm.catalogue import Known, catalogue
from control_plane.ir.llm.endpoints import endpoints, has_models, root_is_taken
from control_plane.ir.llm.listed import listed
from control_plane.ir.llm.lists import Shown, list_routes, routes_of
from control_plane.ir.llm.permissions import Permissions
from control_plane.ir.llm.targets import Groups, answerers, provider_of, variants
from control_plane.ir.order import Ranked, rank
from control_plane.reuse import Reused


@dataclass(frozen=True)
class Alike:
    """What routes have in common; `shared` is the same object where all of it is the same."""

    callers: Counted
    native: ir.Native | None
    shared: object


@dataclass(frozen=True)
class Models:
    """What a gateway has because of its models; `llm` is None where there are none."""

    routes: tuple[Ranked, ...]
    llm: ir.Llm | None


NO_MODELS = Models((), None)


@dataclass(frozen=True, slots=True)
class _Ingredients:
    """What all that is made of a model depends on."""

    model: Known
    groups: Groups
    plans: tuple[str, ...] | None
    upstreams: tuple[config.Upstream, ...]
    llm: config.Llm
    shared: object

    def are(self, other: "_Ingredients") -> bool:
        """Whether the same is made of the others."""
        return (
            self.shared is other.shared
            and self.llm is other.llm
            and self.model.written is other.model.written  # 1 and true are equal, and not the same in a body
            and (self.model, self.groups, self.plans) == (other.model, other.groups, other.plans)
            and all(one is another for one, another in zip(self.upstreams, other.upstreams, strict=True))
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What was made of a model. Compared by identity."""

    of: _Ingredients
    routes: tuple[Ranked, ...]
    variants: tuple[ir.Variant, ...]
    shown: Shown


@dataclass(frozen=True, slots=True)
class _Together:
    """What was made of all of them."""

    made: tuple[_Made, ...]
    plans: tuple[str, ...]
    root_is_taken: bool
    shared: object
    models: Models

    def stands(self, made: tuple[_Made, ...], plans: tuple[str, ...], shared: object, *, root_is_taken: bool) -> bool:
        """Whether the same would be made of these."""
        told = (made, plans, root_is_taken)
        return self.shared is shared and (self.made, self.plans, self.root_is_taken) == told


class ModelMaker:
    """Makes the models of one configuration after the other, reusing what was made before."""

    def __init__(self) -> None:
        self._made: Reused[str, _Made] = Reused()
        self._permissions = Permissions(())
        self._llm = config.Llm()
        self._last: _Together | None = None

    def begin(self) -> None:
        """From here on, another configuration is at hand."""
        self._made.begin()

    def succeeded(self) -> None:
        """The configuration at hand is a good one."""
        self._made.succeeded()

    def models(self, source: config.Config, found: Found, alike: Alike, before: Mapping[str, ir.Route]) -> Models:
        """What a configuration without mistakes has; a route that is as it was `before` is that object."""
        if not has_models(source):
            return NO_MODELS
        self._llm = (
            self._llm if self._llm == source.llm else source.llm
        )  # a section that is not written is new each time
        self._permissions = self._permissions.now(source)
        common = common_to_all(source, alike.callers, alike.native)
        made = tuple(self._each(found, common, alike.shared, before))
        plans, taken, last = tuple(sorted(source.plans)), root_is_taken(source), self._last
        if last is None or not last.stands(made, plans, alike.shared, root_is_taken=taken):
            last = self._last = _Together(made, plans, taken, alike.shared, _together(made, common, before))
        return last.models

    def _each(self, found: Found, common: Common, shared: object, before: Mapping[str, ir.Route]) -> Iterator[_Made]:
        source = common.source
        known = catalogue(source, found)
        for name, model in known.items():
            groups = answerers(model, known)
            if groups:
                plans = None if common.demand is None else self._permissions.plans_of(name)
                upstreams = tuple(source.upstreams[item.upstream] for group in groups for item in group)
                of = _Ingredients(model, groups, plans, upstreams, self._llm, shared)
                made = self._made.get(name)
                if made is None or not made.of.are(of):
                    made = self._made[name] = _made(of, common, before)
                yield made


def _made(of: _Ingredients, common: Common, before: Mapping[str, ir.Route]) -> _Made:
    source, model = common.source, of.model
    here = tuple(item for item in endpoints(of.llm) if not set(item.apis).isdisjoint(model.apis))
    owner = provider_of(of.groups[0][0].upstream, source).name
    shown = Shown(listed(model, owner), model.aliases, model.apis, of.plans)
    routes = (*calls(Callee(model, of.groups, of.plans, common), here), *routes_of(shown, common))
    return _Made(
        of,
        routes=tuple(_ranked(routes, before)),
        variants=tuple(variants(of.groups, dict.fromkeys(item.dialect for item in here), source)),
        shown=shown,
    )


def _together(made: Iterable[_Made], common: Common, before: Mapping[str, ir.Route]) -> Models:
    made = tuple(made)
    shown = tuple(item.shown for item in made)
    # What Envoy turns on for one of them it must turn on for all: it has not read the body yet.
    here = any(ranked.route.limited_here for item in made for ranked in item.routes)
    last = (catch_all(item, common, limited_here=here) for item in endpoints(common.llm))
    shared = (*last, *list_routes(shown, common))
    by_name = {item.name: item for one in made for item in one.variants}
    return Models(
        (*_ranked(shared, before), *(route for item in made for route in item.routes)),
        ir.Llm(
            listed=tuple(item.listed for item in shown),
            variants=tuple(by_name[name] for name in sorted(by_name)),
            translates=translates(common.source),
        ),
    )


def _ranked(routes: Iterable[ir.Route], before: Mapping[str, ir.Route]) -> Iterator[Ranked]:
    for route in routes:
        same = before.get(route.name)
        kept = same if same is not None and same == route else route
        yield Ranked(kept, rank(kept))
