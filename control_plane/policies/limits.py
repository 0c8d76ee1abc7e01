"""The rate-limit service's policy: a set for each route that asks and each plan, and for whoever else has rules.

What an Envoy keeps by itself is none of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from control_plane.ir import model as ir
from service_kit import contract
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

Owner = ir.Route | ir.Plan | ir.Consumer | ir.Tenant

DIMENSIONS: Final[Mapping[ir.Dimension, policy_pb.Dimension]] = {
    ir.Dimension.SUBJECT: policy_pb.DIMENSION_SUBJECT,
    ir.Dimension.TENANT: policy_pb.DIMENSION_TENANT,
    ir.Dimension.CONSUMER: policy_pb.DIMENSION_CONSUMER,
    ir.Dimension.IP: policy_pb.DIMENSION_IP,
    ir.Dimension.ROUTE: policy_pb.DIMENSION_ROUTE,
    ir.Dimension.PLAN: policy_pb.DIMENSION_PLAN,
    ir.Dimension.MODEL: policy_pb.DIMENSION_MODEL,
}
UNITS: Final[Mapping[ir.Unit, policy_pb.Unit]] = {
    ir.Unit.REQUESTS: policy_pb.UNIT_REQUESTS,
    ir.Unit.TOKENS: policy_pb.UNIT_TOKENS,
    ir.Unit.CONCURRENT: policy_pb.UNIT_CONCURRENT,
}
CALENDARS: Final[Mapping[ir.Calendar, policy_pb.Calendar]] = {
    ir.Calendar.DAY: policy_pb.CALENDAR_DAY,
    ir.Calendar.WEEK: policy_pb.CALENDAR_WEEK,
    ir.Calendar.MONTH: policy_pb.CALENDAR_MONTH,
}
MODES: Final[Mapping[ir.Mode, policy_pb.Mode]] = {
    ir.Mode.ENFORCE: policy_pb.MODE_ENFORCE,
    ir.Mode.REPORT: policy_pb.MODE_REPORT,
}
STORE_FAILURES: Final[Mapping[ir.StoreFailure, policy_pb.StoreFailure]] = {
    ir.StoreFailure.DENY: policy_pb.STORE_FAILURE_DENY,
    ir.StoreFailure.LOCAL: policy_pb.STORE_FAILURE_LOCAL,
    ir.StoreFailure.ALLOW: policy_pb.STORE_FAILURE_ALLOW,
}


def limited(gateway: ir.Gateway) -> Iterator[Owner]:
    """Whoever has a set.

    Routes that ask and plans without rules have one too, because the service refuses a name that it does not know.
    Whoever reads policies sees by the set of an exempt route that nothing is to ask for it.
    """
    yield from _counted(route for route in gateway.routes if route.asks_limiter or route.exempt)
    yield from gateway.plans
    yield from (consumer for consumer in gateway.consumers if consumer.own is not None)
    yield from gateway.tenants


def _counted(routes: Iterable[ir.Route]) -> Iterator[ir.Route]:
    """Those of a model are counted as one, with all who may answer any of them: each API has its own way to them."""
    found: dict[str, ir.Route] = {}
    for route in routes:
        name = route.known_as
        found[name] = _with_targets(found[name], route) if name in found else route
    yield from found.values()


def _with_targets(route: ir.Route, other: ir.Route) -> ir.Route:
    if route.model is None or other.model is None:
        return route
    return replace(route, model=replace(route.model, targets=route.model.targets + other.model.targets))


def limit_set(owner: Owner) -> tuple[str, policy_pb.LimitSet]:
    """The name and content of the owner's set."""
    match owner:
        case ir.Route():
            return contract.route_limits_name(owner.known_as), _of_route(owner)
        case ir.Plan():
            return contract.plan_limits_name(owner.name), _rules(owner.limits, owner.quotas)
        case ir.Consumer():
            return contract.consumer_limits_name(owner.name), _of_consumer(owner.own or ir.OwnRules())
        case ir.Tenant():
            return contract.tenant_limits_name(owner.name), _rules(owner.limits, owner.quotas)


def _of_route(route: ir.Route) -> policy_pb.LimitSet:
    found = _rules(route.limits, ())
    found.usage, found.exempt = route.usage, route.exempt
    if route.tokens is not None:
        found.metering.MergeFrom(_metering(route.tokens, route.model))
        found.metering.SetInParent()
    if route.model is not None:
        found.model = route.model.model
    return found


def _metering(tokens: ir.Metering, model: ir.ModelCall | None) -> policy_pb.Metering:
    targets = () if model is None else (target for group in model.targets for target in group)
    # The same one may be asked again, at another weight.
    by_cluster = {target.cluster: target for target in targets}
    return policy_pb.Metering(
        input_price=tokens.input_price,
        output_price=tokens.output_price,
        targets=[
            policy_pb.Target(cluster=name, input_price=target.input_price, output_price=target.output_price)
            for name, target in by_cluster.items()
        ],
    )


def _of_consumer(own: ir.OwnRules) -> policy_pb.LimitSet:
    found = _rules(own.limits, own.quotas)
    found.replaced.MergeFrom(
        policy_pb.Replaced(limits=own.replaces_limits, usages=own.usages, all_quotas=own.replaces_quotas)
    )
    return found


def _rules(limits: Iterable[ir.Limit], quotas: Iterable[ir.Quota]) -> policy_pb.LimitSet:
    return policy_pb.LimitSet(limits=(_limit(limit) for limit in limits if not limit.local), quotas=map(_quota, quotas))


def _limit(limit: ir.Limit) -> policy_pb.Limit:
    return policy_pb.Limit(
        id=limit.id,
        amount=limit.amount,
        period_seconds=limit.period,
        per=(DIMENSIONS[dimension] for dimension in limit.per),
        unit=UNITS[limit.unit],
        mode=MODES[limit.mode],
        on_store_failure=STORE_FAILURES[limit.on_store_failure],
    )


def _quota(quota: ir.Quota) -> policy_pb.Quota:
    return policy_pb.Quota(
        id=quota.id,
        usage=quota.usage,
        amount=quota.amount,
        window=CALENDARS[quota.window],
        per=(DIMENSIONS[dimension] for dimension in quota.per),
        mode=MODES[quota.mode],
        on_store_failure=STORE_FAILURES[quota.on_store_failure],
    )
