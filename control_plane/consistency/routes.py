"""What a route says: to filters that are there and read it, about limits that are kept, of clusters that exist."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as ext_authz_pb
from envoy.extensions.filters.http.ratelimit.v3 import rate_limit_pb2 as rate_limit_pb

from control_plane.consistency.filters import (
    DEFAULT_LIMIT,
    FILTER_CONFIG,
    INSTANCES,
    METERED,
    NEVER_FORGOTTEN,
    PER_ROUTE_TYPES,
    STREAMS,
    TOGETHER,
    TURNED_ON,
)
from control_plane.consistency.native import native_route_faults
from control_plane.consistency.refusal import mark_faults
from control_plane.consistency.untold import model_route_faults
from control_plane.ir.model import NOBODY
from control_plane.xds import names
from control_plane.xds.filters import bandwidth, body_rewrite, profile_guard, ratelimit
from control_plane.xds.filters.chain import ACCEPT_ENCODING
from control_plane.xds.filters.llm import strays
from control_plane.xds.filters.metering import guard
from control_plane.xds.filters.per_route import OFF, ON
from control_plane.xds.routes.forward import groups_of
from service_kit import contract


class Member(NamedTuple):
    """A route of those that share a path and are chosen by what bodies say; the `last` takes what no other one does."""

    route: str
    path: str
    last: bool
    profile: bytes
    speaks: frozenset[str]


class Referred(NamedTuple):
    """What a route refers to, whether or not it is there."""

    # As what limits know it.
    name: str
    clusters: frozenset[str]
    mirrors: frozenset[str]
    filters: frozenset[str]
    member: Member | None = None


class LimitSet(NamedTuple):
    """What a set of the policies says.

    Does it hold limits, do they count every call, or none; are the route's calls metered; does it count calls while
    they are under way, or tokens of metered ones?
    """

    limited: bool
    every_call: bool
    exempt: bool
    metered: bool = False
    under_way: bool = False
    tokens: bool = False


class Around(NamedTuple):
    """All that decides, beside the route itself, whether it is right: what there is of what it refers to.

    `limits` are its own, None where no policy holds any; `kept_here` says that it owns limits of each instance;
    `callers` says what rules of plans, consumers or tenants count.
    """

    clusters: frozenset[str]
    filters: frozenset[str]
    all_http2: bool
    all_mark_kept: bool
    limits: LimitSet | None
    callers: LimitSet
    kept_here: bool
    plans_keep_here: bool

    @property
    def exempt(self) -> bool:
        """Whether no rule of a caller counts its calls."""
        return self.limits is not None and self.limits.exempt


def referred(route: route_pb.Route) -> Referred:
    """What the route refers to."""
    mirrors = frozenset(mirror.cluster for mirror in route.route.request_mirror_policies)
    return Referred(
        _counted_as(route),
        frozenset(_clusters(route.route)),
        mirrors,
        frozenset(route.typed_per_filter_config) | _own_filters(route.name),
        _member(route),
    )


def route_faults(route: route_pb.Route, around: Around) -> Iterator[str]:
    """What is wrong with a route, given what there is."""
    if route.HasField("route"):
        for cluster in (*_clusters(route.route), *(mirror.cluster for mirror in route.route.request_mirror_policies)):
            if cluster not in around.clusters:
                yield f"route {route.name!r} goes to cluster {cluster!r}, which is not there"
    misread = tuple(_misread(route, around.filters))
    yield from misread
    if misread:
        return  # what follows reads these messages
    asked = ext_authz_pb.ExtAuthzPerRoute.FromString(route.typed_per_filter_config[names.EXT_AUTHZ].value)
    yield from _profile_faults(route, asked)
    yield from native_route_faults(route, asked.check_settings.context_extensions)
    if _lets_nobody_pass(route):
        yield from _open_faults(route)
    else:
        yield from _limit_faults(route, around, public=asked.disabled)
        yield from _instance_limit_faults(route, around, public=asked.disabled)
        yield from _rewrite_faults(route)
        yield from _metering_faults(route)
        yield from model_route_faults(route)
        yield from mark_faults(route)
    yield from _body_faults(route, around)
    yield from _switch_faults(route, around.filters)
    if names.CACHE in route.typed_per_filter_config and not around.all_mark_kept:
        yield f"route {route.name!r} keeps answers of an upstream that does not mark what is for one alone"


def _clusters(action: route_pb.RouteAction) -> tuple[str, ...]:
    """Where the requests of a route may go."""
    weighted = tuple(item.name for item in action.weighted_clusters.clusters)
    return weighted or groups_of(action) or (action.cluster,)


def _counted_as(route: route_pb.Route) -> str:
    """By its own name, or that of its model."""
    said = route.metadata.filter_metadata[names.ROUTE_METADATA].fields
    name: str = said[names.ROUTE_METADATA_NAME].string_value if names.ROUTE_METADATA_MODEL in said else route.name
    return name


def _member(route: route_pb.Route) -> Member | None:
    asked = any(item.filter == contract.LLM_NAMESPACE for item in route.match.dynamic_metadata)
    last = _lets_nobody_pass(route)
    if not (asked or last):
        return None
    said = dict(route.typed_per_filter_config)
    profile = said[names.PROFILE_GUARD].value if names.PROFILE_GUARD in said else b""
    return Member(route.name, route.match.path, last, profile, frozenset(said))


def _lets_nobody_pass(route: route_pb.Route) -> bool:
    """Whether it is the last of a group, which only turns on what others need."""
    said = dict(route.typed_per_filter_config).get(names.TOKEN_GUARD)
    return any(said == strays.guarded(guard.STAT_PREFIX, by_name=by_name) for by_name in (False, True))


def group_faults(members: Sequence[Member]) -> Iterator[str]:
    """What Envoy decides before it reads a body, it decides by the last of a group: that must do for all of it."""
    lasts: dict[str, Member] = {}
    for member in reversed(members):
        last = lasts.get(member.path)
        if member.last:
            lasts[member.path] = member
        elif last is None:
            yield f"route {member.route!r} is chosen by bodies that nothing before has read"
        else:
            yield from _member_faults(member, last)


def _member_faults(member: Member, last: Member) -> Iterator[str]:
    if member.profile != last.profile:
        yield f"route {member.route!r} has another profile than the group that it is of"
    if missing := sorted(member.speaks - last.speaks - {names.RATELIMIT, names.OF_PLANS}):
        yield f"route {member.route!r} speaks to {', '.join(missing)}, which its group leaves off"
    if names.JSON_TOKENS in member.speaks and names.MODEL_GUARD not in member.speaks:
        yield f"route {member.route!r} does not ask who may call its model"


def _misread(route: route_pb.Route, filters: AbstractSet[str]) -> Iterator[str]:
    """What a route says to a filter that is not there or would not read it, and filters that it forgets."""
    switched = TURNED_ON if _lets_nobody_pass(route) else ()
    for name, config in route.typed_per_filter_config.items():
        switch = name in switched or _is_instance(name)
        readable = (FILTER_CONFIG,) if switch else PER_ROUTE_TYPES.get(name, ())
        if name not in filters:
            yield f"route {route.name!r} speaks to filter {name!r}, which is not in the chain"
        elif config.type_url not in readable:
            yield f"route {route.name!r} says {config.type_url} to filter {name!r}, which does not read it"
    for name in NEVER_FORGOTTEN:
        if name not in route.typed_per_filter_config:
            yield f"route {route.name!r} says nothing to filter {name!r}"


def _is_instance(name: str) -> bool:
    return any(name.startswith(f"{kind}.") for kind in INSTANCES)


def _profile_faults(route: route_pb.Route, asked: ext_authz_pb.ExtAuthzPerRoute) -> Iterator[str]:
    """The authorizer and the guard must mean the same profile, or the guard lets a foreign request pass."""
    demands = asked.check_settings.context_extensions
    if not asked.disabled and not contract.ALWAYS_SAID <= demands.keys() <= contract.EXTENSIONS:
        yield f"route {route.name!r} hands {', '.join(sorted(demands)) or 'nothing'} to the authorizer"
        return
    profile = contract.PUBLIC_PROFILE if asked.disabled else demands[contract.EXTENSION_PROFILE]
    if not asked.disabled and profile == contract.PUBLIC_PROFILE:
        yield f"route {route.name!r} is authorized under the profile of public routes"
    if route.typed_per_filter_config[names.PROFILE_GUARD] != profile_guard.guarded(profile):
        yield f"route {route.name!r} is not guarded by its own profile {profile!r}"


def _open_faults(route: route_pb.Route) -> Iterator[str]:
    """Whoever is let through by mistake finds nobody there."""
    said = dict(route.typed_per_filter_config)
    if route.HasField("route") and _clusters(route.route) != (NOBODY,):
        yield f"route {route.name!r} is for bodies that are not read yet, and goes to an upstream"
    if said.get(names.BODY_GUARD) != body_rewrite.GUARD or names.JSON_TOKENS not in said:
        yield f"route {route.name!r} is for bodies that are not read yet, and does not have them read and guarded"


def _limit_faults(route: route_pb.Route, around: Around, *, public: bool) -> Iterator[str]:
    if names.RATELIMIT not in route.typed_per_filter_config:
        # Where Envoy answers by itself, it makes no call.
        known = not public and not around.exempt and route.HasField("route")
        metered = names.JSON_TOKENS in route.typed_per_filter_config
        callers = around.callers.every_call or (metered and around.callers.tokens)
        if (known and callers) or (around.limits is not None and around.limits.limited):
            yield f"route {route.name!r} has limits, its own or a plan's, and asks nobody about them"
        return
    if around.limits is None or around.exempt:
        yield f"route {route.name!r} asks about limits that no policy holds"
    said = rate_limit_pb.RateLimitPerRoute.FromString(route.typed_per_filter_config[names.RATELIMIT].value)
    cost = said.rate_limits[0].hits_addend.number.value if said.rate_limits else 0
    asked, held = said.rate_limits[: ratelimit.ASKED], said.rate_limits[ratelimit.ASKED :]
    if tuple(asked) != ratelimit.asked(_counted_as(route), cost=cost or 1):
        yield f"route {route.name!r} does not ask about limits by its own name"
    yield from _hold_faults(route, held, around, public=public)


def _hold_faults(
    route: route_pb.Route, held: Sequence[route_pb.RateLimit], around: Around, *, public: bool
) -> Iterator[str]:
    """What a call takes until its end must be told at both ends, or it is never given back."""
    limits, callers = around.limits, around.callers.under_way and not public
    metered = names.JSON_TOKENS in route.typed_per_filter_config
    told = dict(route.typed_per_filter_config).get(names.STREAM_ENDS)
    ends = () if told is None else rate_limit_pb.RateLimitPerRoute.FromString(told.value).rate_limits
    answered = names.ROUTE_METADATA_TARGETS in route.metadata.filter_metadata[names.ROUTE_METADATA].fields
    name = _counted_as(route)
    if (held or ends) and not ratelimit.settles(held, ends, name, metered=metered, answered=answered):
        yield f"route {route.name!r} begins a hold without its numbers or its end"
    if limits is not None and (limits.under_way or callers) and not held:
        yield f"route {route.name!r} does not tell when its calls end"
    if limits is not None and limits.metered != (metered and bool(held)):
        yield f"route {route.name!r} counts tokens that its policy does not, or the other way round"


def _instance_limit_faults(route: route_pb.Route, around: Around, *, public: bool) -> Iterator[str]:
    """A bucket is found by what a route says about itself; one that says nothing is not limited."""
    limited = around.kept_here or (around.plans_keep_here and not public and not around.exempt)
    if (names.INSTANCE_LIMITS in route.typed_per_filter_config) != (limited and route.HasField("route")):
        yield f"route {route.name!r} has limits of each instance and does not turn them on, or the other way round"
    if not limited or not route.HasField("route"):
        return
    said = route.metadata.filter_metadata[names.ROUTE_METADATA].fields
    if (
        said[names.ROUTE_METADATA_NAME].string_value != _counted_as(route)
        or said[names.ROUTE_METADATA_COST].number_value < 1
    ):
        yield f"route {route.name!r} does not tell its limits who it is and what it costs"


def _rewrite_faults(route: route_pb.Route) -> Iterator[str]:
    """What is rewritten is guarded, or what could not be rewritten would pass."""
    said = dict(route.typed_per_filter_config)
    rewrites = names.BODY_REWRITE in said
    if said.get(names.BODY_GUARD) != (body_rewrite.GUARD if rewrites else None):
        yield f"route {route.name!r} rewrites bodies without a guard, or guards without rewriting"
    if rewrites and body_rewrite.MARK not in route.request_headers_to_remove:
        yield f"route {route.name!r} shows its upstream {body_rewrite.MARK}"


def _metering_faults(route: route_pb.Route) -> Iterator[str]:
    """What is counted is read of bodies that no upstream reads otherwise, and of answers as they are."""
    said = dict(route.typed_per_filter_config)
    if names.JSON_TOKENS not in said:
        return
    if any(said.get(name) == OFF for name in (*METERED, *STREAMS)):
        yield f"route {route.name!r} turns off what reads its tokens"
    if sum(name in said for name in STREAMS) != 1:
        yield f"route {route.name!r} counts tokens of streams that nothing reads, or that two do"
    if names.BODY_REWRITE not in said:
        yield f"route {route.name!r} counts tokens of bodies that it does not rewrite"
    if ACCEPT_ENCODING not in route.request_headers_to_remove:
        yield f"route {route.name!r} counts tokens of answers that may be compressed"


def _switch_faults(route: route_pb.Route, filters: AbstractSet[str]) -> Iterator[str]:
    """A switch that is neither on nor off, one of two without the other, an instance that its own route leaves off."""
    said = dict(route.typed_per_filter_config)
    for name, config in said.items():
        if config.type_url == FILTER_CONFIG and config not in (OFF, ON):
            yield f"route {route.name!r} turns filter {name!r} neither on nor off"
    for first, second in TOGETHER:
        if (first in said) != (second in said):
            yield f"route {route.name!r} speaks to one of the filters {first!r} and {second!r} alone"
    own = _own_filters(route.name) & filters - said.keys()
    yield from (f"route {route.name!r} leaves its filter {name!r} off" for name in own)


def _own_filters(route: str) -> frozenset[str]:
    """Instances of filters that are for this route alone, where there are any."""
    return frozenset((names.adaptive_concurrency(route), *(names.bandwidth(route, way) for way in bandwidth.MODES)))


def _body_faults(route: route_pb.Route, around: Around) -> Iterator[str]:
    """The default body limit gives way to another one, or to an upgrade or a stream of gRPC, which no limit counts."""
    said = {
        name: route_pb.FilterConfig.FromString(config.value)
        for name, config in route.typed_per_filter_config.items()
        if name.startswith(names.BODY_LIMIT)
    }
    bounded = any(config.HasField("config") and not config.disabled for config in said.values())
    endless = bool(route.route.upgrade_configs) or around.all_http2
    if DEFAULT_LIMIT in said and not bounded and not endless:
        yield f"route {route.name!r} has no body limit"
