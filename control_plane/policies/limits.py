"""The rate-limit service's policy: one set of limits a route that asks, one a plan. Envoy keeps the local ones."""

from collections.abc import Iterable, Iterator

from control_plane.ir import model as ir
from service_kit import contract
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

DIMENSIONS = {
    ir.Dimension.SUBJECT: policy_pb.DIMENSION_SUBJECT,
    ir.Dimension.TENANT: policy_pb.DIMENSION_TENANT,
    ir.Dimension.CONSUMER: policy_pb.DIMENSION_CONSUMER,
    ir.Dimension.IP: policy_pb.DIMENSION_IP,
    ir.Dimension.ROUTE: policy_pb.DIMENSION_ROUTE,
}


def limit_sets(gateway: ir.Gateway) -> Iterator[tuple[str, policy_pb.LimitSet]]:
    """Names and sets; empty ones too, because the service refuses a name that it does not know."""
    for route in gateway.routes:
        if route.asks_limiter:
            yield contract.route_limits_name(route.name), _limit_set(route.limits)
    for plan in gateway.plans:
        yield contract.plan_limits_name(plan.name), _limit_set(plan.limits)


def _limit_set(limits: Iterable[ir.Limit]) -> policy_pb.LimitSet:
    return policy_pb.LimitSet(
        limits=[
            policy_pb.Limit(
                id=limit.id,
                requests=limit.requests,
                period_seconds=limit.period,
                per=[DIMENSIONS[dimension] for dimension in limit.per],
            )
            for limit in limits
            if not limit.local
        ]
    )
