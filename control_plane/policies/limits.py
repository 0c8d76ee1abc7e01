"""The rate-limit service's policy: one set of limits a route that asks, one a plan. Envoy keeps the local ones."""

from collections.abc import Iterator

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


def limited(gateway: ir.Gateway) -> Iterator[ir.Route | ir.Plan]:
    """Whoever has a set; those without limits too, because the service refuses a name that it does not know."""
    yield from (route for route in gateway.routes if route.asks_limiter)
    yield from gateway.plans


def limit_set(owner: ir.Route | ir.Plan) -> tuple[str, policy_pb.LimitSet]:
    """The name and content of the owner's set."""
    name = contract.plan_limits_name if isinstance(owner, ir.Plan) else contract.route_limits_name
    return name(owner.name), policy_pb.LimitSet(
        limits=[
            policy_pb.Limit(
                id=limit.id,
                requests=limit.requests,
                period_seconds=limit.period,
                per=[DIMENSIONS[dimension] for dimension in limit.per],
            )
            for limit in owner.limits
            if not limit.local
        ]
    )
