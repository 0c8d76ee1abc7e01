"""Who may call a model: callers of some plans, and of these keys that name it or a pattern that takes it.

Off, and in every chain: on a connection that was open before the first model, bodies may be read and nobody is asked.
"""

from collections.abc import Iterator
from functools import lru_cache

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as RbacFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import is_last
from control_plane.xds.filters.metadata import any_of, containing, exactly, held, no
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

# The policy's name stands in the response code details, where the error's mapper finds it.
POLICY = "model-not-allowed"
STAT_PREFIX = "model_guard."
# No name of a plan.
NOBODYS_PLAN = ":"


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Denies nobody; each route of a model says whom."""
    guard = RbacFilter(rules_stat_prefix=STAT_PREFIX)
    return (HttpFilter(name=names.MODEL_GUARD, typed_config=Any.pack(guard), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """Whom a route of a model denies; the last of a group turns the guard on."""
    if route is None:
        return {}
    if is_last(route):
        return {names.MODEL_GUARD: ON}
    return {} if route.model is None else {names.MODEL_GUARD: permitted(route.model.plans, route.model.spellings)}


@lru_cache(maxsize=1024)  # a model has a route for each API
def permitted(plans: tuple[str, ...] | None, spellings: tuple[str, ...]) -> ProtoAny:
    """What a route of a model says to the guard that these plans, and keys with one of these texts, may call."""
    policy = rbac_pb.Policy(permissions=_denied(plans, spellings), principals=[rbac_pb.Principal(any=True)])
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.DENY, policies={POLICY: policy})
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac_filter_pb.RBAC(rules=rules, rules_stat_prefix=STAT_PREFIX)))


def _denied(plans: tuple[str, ...] | None, spellings: tuple[str, ...]) -> Iterator[rbac_pb.Permission]:
    if plans is not None:
        yield no(held(contract.IDENTITY_NAMESPACE, "plan", any_of(map(exactly, plans or (NOBODYS_PLAN,)))))
    # Who is not restricted has none; of the others, elements of a list.
    named = any_of((exactly(contract.MISSING), *(containing(f",{text},") for text in spellings)))
    yield no(held(contract.IDENTITY_NAMESPACE, contract.IDENTITY_MODELS, named))
