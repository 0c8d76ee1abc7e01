"""Limits that each Envoy keeps by itself: token buckets, at no call out.

All buckets lie in the listener's one filter and a route only turns it on: as messages of routes they would be apart for
each host name that a route answers to, a plan's for each route, and begin anew with every edit of the routes. Every
call says the same to the filter, whatever it lacks, so that no descriptor is dropped and no limit skipped: what an
identity does not have counts as "-".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.ir.model import Dimension, Gateway, Limit, Mode, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import JsonValue, typed_struct
from control_plane.xds.system_routes import system_routes
from service_kit import contract

TYPE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
# Callers of one limit that are remembered; beyond, the one that called longest ago gets a new bucket.
REMEMBERED = 10_000
ALWAYS: JsonValue = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
PERIOD, ROUTE, PLAN = "period", "route", "plan"
# Envoy names this one; the value is a network.
ADDRESS = "masked_remote_address"
# Keys whose values are the route's word about itself; not every route is of a model.
SAID_BY_ROUTES: Mapping[str, str] = {
    ROUTE: names.ROUTE_METADATA_NAME,
    Dimension.MODEL.value: names.ROUTE_METADATA_MODEL,
}

Action = Mapping[str, JsonValue]


@dataclass(frozen=True)
class _Owned:
    """A limit, and the route or plan that it belongs to: `kind` is the key that its descriptors have for it."""

    kind: str
    name: str
    limit: Limit

    @property
    def counted(self) -> tuple[str, ...]:
        """Keys of what is counted apart, beside the owner."""
        return tuple(_key(dimension) for dimension in self.limit.per if _key(dimension) != self.kind)

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...]]:
        return (str(self.limit.period), self.kind, self.counted)


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Every bucket, where there is one; off where a route has none."""
    owned = sorted(_owned(gateway), key=lambda item: item.limit.id)
    if not owned:
        return ()
    fields: dict[str, JsonValue] = {
        "stat_prefix": names.INSTANCE_LIMITS,
        "filter_enabled": ALWAYS,
        "filter_enforced": ALWAYS,
        "max_dynamic_descriptors": REMEMBERED,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "enable_retry_after_header": True,
        "rate_limits": [_rate_limit(*shape) for shape in sorted({item.shape for item in owned})],
        "descriptors": [_bucket(item) for item in owned],
    }
    return (HttpFilter(name=names.INSTANCE_LIMITS, typed_config=typed_struct(TYPE, fields), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """On where a limit of the route or of a caller's plan may apply."""
    return {names.INSTANCE_LIMITS: ON} if route is not None and route.limited_here else {}


def _owned(gateway: Gateway) -> Iterator[_Owned]:
    owners: tuple[tuple[str, Iterable[tuple[str, tuple[Limit, ...]]]], ...] = (
        (ROUTE, {route.known_as: route.limits for route in _limited_here(gateway)}.items()),
        (PLAN, ((plan.name, plan.limits) for plan in gateway.plans)),
    )
    for kind, items in owners:
        yield from (_Owned(kind, name, limit) for name, limits in items for limit in limits if limit.local)


def _limited_here(gateway: Gateway) -> Iterator[Route]:
    return (route for route in (*gateway.routes, *system_routes(gateway)) if route.limited_here)


def _key(dimension: Dimension) -> str:
    return ADDRESS if dimension is Dimension.IP else dimension.value


def _bucket(item: _Owned) -> JsonValue:
    entries: list[JsonValue] = [
        {"key": PERIOD, "value": str(item.limit.period)},
        {"key": item.kind, "value": item.name},
    ]
    # An entry without a value stands for a bucket for each value.
    entries += [{"key": key} for key in item.counted]
    amount = item.limit.amount
    bucket: JsonValue = {
        "max_tokens": amount, "tokens_per_fill": amount, "fill_interval": f"{item.limit.period}s",
    }  # fmt: skip
    reported: dict[str, JsonValue] = {"shadow_mode": True} if item.limit.mode is Mode.REPORT else {}
    return {"entries": entries, "token_bucket": bucket, **reported}


def _rate_limit(period: str, kind: str, counted: tuple[str, ...]) -> JsonValue:
    """What a call says about itself to the limits of one period that count the same apart."""
    actions: list[JsonValue] = [{"generic_key": {"descriptor_key": PERIOD, "descriptor_value": period}}]
    actions += [_action(key) for key in (kind, *counted)]
    cost = f"%METADATA(ROUTE:{names.ROUTE_METADATA}:{names.ROUTE_METADATA_COST})%"
    return {"actions": actions, "hits_addend": {"format": cost}}


def _action(key: str) -> JsonValue:
    if key == ADDRESS:
        # A host has a whole /64 to call from.
        return {ADDRESS: {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": 64}}
    if key in SAID_BY_ROUTES:
        place: JsonValue = {"key": names.ROUTE_METADATA, "path": [{"key": SAID_BY_ROUTES[key]}]}
        otherwise: dict[str, JsonValue] = {} if key == ROUTE else {"default_value": contract.MISSING}
        return {"metadata": {"descriptor_key": key, "metadata_key": place, "source": "ROUTE_ENTRY", **otherwise}}
    identity: JsonValue = {"key": contract.IDENTITY_NAMESPACE, "path": [{"key": key}]}
    return {"metadata": {"descriptor_key": key, "metadata_key": identity, "default_value": contract.MISSING}}
