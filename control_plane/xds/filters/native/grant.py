"""Whether the authorizer would let a token pass on a route: scopes, roles and plans. The verdict is metadata.

Its name is the route's profile. Only with it the authorizer is not asked, and only from it the profile is made that
the guard of the route looks at.
"""

from collections.abc import Iterator
from functools import lru_cache

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as RbacFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Demand, Gateway, Native, NativeIssuer, Route
from control_plane.ir.native import envoy_judges
from control_plane.xds import names
from control_plane.xds.filters.native import token
from control_plane.xds.filters.native.matching import (
    PRESENT,
    VERDICT,
    every,
    exactly,
    listing,
    no,
    of_token,
    some,
    verdict,
)
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed

STAT_PREFIX = "native_"
# Where the verdict stands: the key of RBAC's metadata.
GRANTED = STAT_PREFIX + VERDICT


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and without rules: what no route allows is asked about. It refuses nothing."""
    if not envoy_judges(gateway):
        return ()
    return (HttpFilter(name=names.NATIVE_GRANT, typed_config=Any.pack(RbacFilter()), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """Which tokens pass on the route."""
    if route is None or route.native is None or route.demand is None:
        return {}
    return {names.NATIVE_GRANT: granted(route.demand, route.native)}


@lru_cache(maxsize=1024)  # few demands, many routes
def granted(demand: Demand, native: Native) -> ProtoAny:
    """What a route with these demands says to the filter."""
    tokens = some(every(_conditions(demand, issuer, native.default_plan)) for issuer in native.issuers)
    policy = rbac_pb.Policy(permissions=[rbac_pb.Permission(any=True)], principals=[tokens])
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.ALLOW, policies={demand.profile: policy})
    rbac = rbac_filter_pb.RBAC(shadow_rules=rules, shadow_rules_stat_prefix=STAT_PREFIX)
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac))


def _conditions(demand: Demand, issuer: NativeIssuer, default_plan: str | None) -> Iterator[rbac_pb.Principal]:
    yield verdict(token.STAT_PREFIX, issuer.mark)
    yield from (of_token(listing(scope), issuer.kept, issuer.scopes) for scope in demand.scopes)
    if demand.roles:
        yield some(of_token(listing(role), issuer.kept, issuer.roles) for role in demand.roles)
    if demand.plans:
        yield some(_plans(demand.plans, issuer, default_plan))


def _plans(plans: tuple[str, ...], issuer: NativeIssuer, default_plan: str | None) -> Iterator[rbac_pb.Principal]:
    """The plan that a token names, or the one of those that name none."""
    named = [] if issuer.plan is None else [of_token(exactly(plan), issuer.kept, issuer.plan) for plan in plans]
    unnamed = rbac_pb.Principal(any=True) if issuer.plan is None else no(of_token(PRESENT, issuer.kept, issuer.plan))
    yield from named
    yield unnamed if default_plan in plans else no(rbac_pb.Principal(any=True))
