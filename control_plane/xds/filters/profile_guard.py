"""A route serves only requests that were authorized under its own profile.

Envoy chooses the route anew when a filter clears its choice. Whatever made it do so, a request that was authorized as
one profile, or as public, is denied by every route of another. Denies all where a route says nothing.
"""

from functools import lru_cache

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy_data_plane.envoy.config.rbac.v3 import Permission, Policy, Principal, Rbac, RbacAction
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as RbacFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

# The policy's name stands in the response code details, where the error's mapper finds it.
POLICY = "route-changed-after-authorization"


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Denies everything; each route replaces that by its own profile."""
    everything = Policy(permissions=[Permission(any=True)], principals=[Principal(any=True)])
    guard = RbacFilter(rules=Rbac(action=RbacAction.DENY, policies={POLICY: everything}))
    return (HttpFilter(name=names.PROFILE_GUARD, typed_config=Any.pack(guard)),)


def per_route(route: Route | None) -> PerRoute:
    """Denies requests whose profile is not the route's."""
    profile = contract.PUBLIC_PROFILE if route is None or route.demand is None else route.demand.profile
    return {names.PROFILE_GUARD: guarded(profile)}


@lru_cache(maxsize=1024)  # few profiles, many routes
def guarded(profile: str) -> ProtoAny:
    """What a route of this profile says to the guard."""
    other = rbac_pb.Permission()
    matcher = other.not_rule.sourced_metadata.metadata_matcher
    matcher.filter = contract.IDENTITY_NAMESPACE
    matcher.path.add(key="profile")
    matcher.value.string_match.exact = profile
    policy = rbac_pb.Policy(permissions=[other], principals=[rbac_pb.Principal(any=True)])
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.DENY, policies={POLICY: policy})
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac_filter_pb.RBAC(rules=rules)))
