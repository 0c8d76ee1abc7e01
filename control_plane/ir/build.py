"""Builds the intermediate representation: references resolved, defaults filled in, routes in matching order.

A builder makes one gateway after the other, and what means the same as before is the same object as before. What a
route means, and whether it can be enforced, depends on what is written there, on the upstreams that it names and on
what all routes share: while these stand, so does the route.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from control_plane.config import model as config
from control_plane.config.authorities import SYSTEM_CA
from control_plane.config.discovered import discovered_in
from control_plane.config.errors import Problem
from control_plane.ir import model as ir
from control_plane.ir.checks.routes import clashes
from control_plane.ir.checks.whole import general_problems, problems, problems_of_route
from control_plane.ir.identity import api_keys, bearer_token, declared_api_keys, jwt_issuer, mtls, tokens
from control_plane.ir.ledger import ledger
from control_plane.ir.limits import Counted, counted, limits_of, own_rules, quotas_of
from control_plane.ir.listeners import listener
from control_plane.ir.llm.models import Alike, ModelMaker
from control_plane.ir.native import native
from control_plane.ir.order import Rank, Ranked, rank
from control_plane.ir.overlap import groups_of
from control_plane.ir.routes import route
from control_plane.ir.upstreams import upstream
from control_plane.reuse import Reused
from service_kit.contract import plan_limits_name, tenant_limits_name

# Routes are compared one by one while they are built.
SECTIONS: Final = ("listeners", "upstreams", "jwt", "bearer_tokens", "plans", "consumers", "tenants")


@dataclass(frozen=True)
class Built:
    """The gateway, or the problems that keep it from being one."""

    gateway: ir.Gateway | None
    problems: tuple[Problem, ...]


def build(source: config.Config, files: Mapping[str, bytes]) -> Built:
    """The gateway of this configuration; `files` holds the content of each file it refers to."""
    return Builder().build(source, files)


@dataclass(frozen=True)
class _Shared:
    """What all routes depend on."""

    auth: config.Auth | None
    counted: Counted
    jwt: bool
    tokens: bool
    bearer: bool
    mtls: bool
    plans: frozenset[str]
    default_plan: str | None
    api_keys: config.ApiKeys
    native: ir.Native | None


@dataclass(frozen=True, slots=True)
class _Meant:
    """A route that can be enforced, what it was made of, and its place among others. Compared by identity."""

    written: config.Route
    shared: _Shared
    upstreams: tuple[tuple[str, config.Upstream], ...]
    route: ir.Route
    rank: Rank
    groups: frozenset[Hashable]

    def stands(self, source: config.Config, shared: _Shared, dearest: float) -> bool:
        """Whether it would be made the same, with nothing wrong with it."""
        return (
            self.shared is shared
            and self.written.cost <= dearest
            and all(source.upstreams.get(name) is same for name, same in self.upstreams)
        )


@dataclass(frozen=True, slots=True)
class _Reached:
    written: config.Upstream
    upstream: ir.Upstream


class Builder:
    """Builds gateways, reusing what went into the last good one and the last one tried."""

    def __init__(self) -> None:
        self._routes: Reused[int, _Meant] = Reused()
        self._shared: Reused[_Shared, _Shared] = Reused()
        self._upstreams: Reused[tuple[str, int, bool, bool], _Reached] = Reused()
        self._models = ModelMaker()
        self._last: ir.Gateway | None = None

    def build(self, source: config.Config, files: Mapping[str, bytes]) -> Built:
        """The gateway of this configuration; `files` holds the content of each file it refers to."""
        if any(general_problems(source, files)):
            return Built(None, tuple(problems(source, files)))
        for kept in (self._routes, self._shared, self._upstreams, self._models):
            kept.begin()
        bare = self._without_routes(source, files)
        callers, judged = counted(source), native(bare)
        shared = self._shared_by_routes(source, callers, judged)
        before = {} if self._last is None else {item.name: item for item in self._last.routes}
        meant = tuple(self._meant(source, callers, judged, shared, before))
        if len(meant) < len(source.routes):
            return Built(None, tuple(problems(source, files)))
        if found := self._clashes(meant, source):
            return Built(None, found)
        models = self._models.models(source, discovered_in(files, source), Alike(callers, judged, shared), before)
        routes = self._ordered((*(Ranked(item.route, item.rank) for item in meant), *models.routes))
        self._last = _sharing(replace(bare, routes=routes, llm=models.llm), self._last)
        for kept in (self._routes, self._shared, self._upstreams, self._models):
            kept.succeeded()
        return Built(self._last, ())

    def _meant(
        self,
        source: config.Config,
        callers: Counted,
        judged: ir.Native | None,
        shared: _Shared,
        before: Mapping[str, ir.Route],
    ) -> Iterator[_Meant]:
        """What each route means; without those that cannot be enforced."""
        for index, written in enumerate(source.routes):
            known = self._routes.get(id(written))
            if known is not None and known.stands(source, shared, callers.dearest):
                yield known
            elif not any(problems_of_route(source, callers, written, index)):
                built = route(written, source, callers, judged)
                same = before.get(built.name)
                fresh = _meant(written, source, shared, same if same is not None and same == built else built)
                self._routes[id(written)] = fresh
                yield fresh

    def _shared_by_routes(self, source: config.Config, callers: Counted, judged: ir.Native | None) -> _Shared:
        identity = source.identity
        shared = _Shared(
            source.defaults.auth,
            callers,
            jwt=bool(identity.jwt),
            tokens=identity.tokens is not None,
            bearer=bool(identity.bearer_tokens),
            mtls=identity.mtls is not None,
            plans=frozenset(source.plans),
            default_plan=source.defaults.plan,
            api_keys=identity.api_keys,
            native=judged,
        )
        known = self._shared.get(shared)
        if known is None:
            known = self._shared[shared] = shared
        return known

    def _clashes(self, meant: Sequence[_Meant], source: config.Config) -> tuple[Problem, ...]:
        """Only what is new is compared, with what it has a group in common with: the others were told apart before."""
        distinct = frozenset(map(id, () if self._last is None else self._last.routes))
        groups = {group for item in meant if id(item.route) not in distinct for group in item.groups}
        if not groups:
            return ()
        return tuple(clashes((item.route for item in meant if not groups.isdisjoint(item.groups)), source))

    def _ordered(self, meant: Iterable[Ranked]) -> tuple[ir.Route, ...]:
        """In the order in which they are tried. Sorting costs little where most stand in it already, as before."""
        by_id = {id(item.route): item for item in meant}
        before = () if self._last is None else self._last.routes
        stood = [item for same in before if (item := by_id.pop(id(same), None)) is not None]
        return tuple(item.route for item in sorted((*stood, *by_id.values()), key=lambda item: item.rank))

    def _without_routes(self, source: config.Config, files: Mapping[str, bytes]) -> ir.Gateway:
        return ir.Gateway(
            listeners=tuple(listener(name, written) for name, written in sorted(source.listeners.items())),
            upstreams=tuple(self._reached(source)),
            routes=(),
            jwt=tuple(jwt_issuer(issuer, files) for issuer in sorted(source.identity.jwt, key=_name)),
            bearer_tokens=tuple(bearer_token(token) for token in sorted(source.identity.bearer_tokens, key=_name)),
            plans=tuple(_plan(name, plan) for name, plan in sorted(source.plans.items())),
            consumers=tuple(
                ir.Consumer(consumer.name, consumer.tenant, consumer.plan, own_rules(consumer))
                for consumer in sorted(source.consumers, key=_name)
            ),
            default_plan=source.defaults.plan,
            tenants=tuple(_tenant(tenant) for tenant in sorted(source.tenants, key=_name)),
            api_keys=api_keys(source),
            declared_keys=declared_api_keys(source),
            mtls=mtls(source.identity.mtls),
            tokens=tokens(source),
            ledger=ledger(source),
            system_ca=files.get(SYSTEM_CA, b"").decode(errors="replace"),  # comments between them
        )

    def _reached(self, source: config.Config) -> Iterator[ir.Upstream]:
        cached = {name for written in source.routes if written.cache is not None for name in written.upstreams}
        mirrors = {written.mirror.upstream for written in source.routes if written.mirror is not None}
        for name, written in sorted(source.upstreams.items()):
            key = name, id(written), name in cached, name in mirrors
            known = self._upstreams.get(key)
            if known is None:
                built = upstream(name, written, cached=name in cached, mirrors=name in mirrors)
                known = self._upstreams[key] = _Reached(written, built)
            yield known.upstream


def _meant(written: config.Route, source: config.Config, shared: _Shared, built: ir.Route) -> _Meant:
    mirrored = () if written.mirror is None else (written.mirror.upstream,)
    upstreams = tuple((name, source.upstreams[name]) for name in (*written.upstreams, *mirrored))
    return _Meant(written, shared, upstreams, built, rank(built), frozenset(groups_of(built)))


def _plan(name: str, written: config.Plan) -> ir.Plan:
    owner = plan_limits_name(name)
    return ir.Plan(
        name, limits_of(config.listed(written.limits), owner), quotas_of(config.listed(written.quotas), owner)
    )


def _tenant(written: config.Tenant) -> ir.Tenant:
    owner = tenant_limits_name(written.name)
    return ir.Tenant(written.name, limits_of(written.limits, owner), quotas_of(written.quotas, owner))


def _name(item: config.Named) -> str:
    return item.name


class _Part(Protocol):
    @property
    def name(self) -> str: ...


P = TypeVar("P", bound=_Part)


def _sharing(gateway: ir.Gateway, last: ir.Gateway | None) -> ir.Gateway:
    """The gateway, of the last one's own parts where they are equal; that one itself where all are."""
    if last is None or gateway == last:
        return last or gateway
    parts: dict[str, Any] = {key: _same(getattr(gateway, key), getattr(last, key)) for key in SECTIONS}
    routes = last.routes if gateway.routes == last.routes else gateway.routes
    llm = last.llm if gateway.llm == last.llm else gateway.llm
    return replace(gateway, routes=routes, llm=llm, **parts)


def _same(parts: tuple[P, ...], before: tuple[P, ...]) -> tuple[P, ...]:
    if parts == before:
        return before
    known = {part.name: part for part in before}
    return tuple(same if (same := known.get(part.name)) == part and same is not None else part for part in parts)
