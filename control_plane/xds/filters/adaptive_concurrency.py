"""How many requests of a route may be under way, measured by their latency. The filter has no per-route form."""

from datetime import timedelta

from envoy_data_plane.envoy.extensions.filters.http.adaptive_concurrency.v3 import (
    AdaptiveConcurrency,
    GradientControllerConfig,
    GradientControllerConfigConcurrencyLimitCalculationParams,
    GradientControllerConfigMinimumRttCalculationParams,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import AdaptiveConcurrency as Bounds
from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.per_route import ON, PerRoute

# How often, and over how many requests, the latency of an idle upstream is measured.
IDLE_LATENCY_INTERVAL = timedelta(seconds=60)
IDLE_LATENCY_REQUESTS = 50
# Not all routes and gateways at the same moment.
JITTER = Percent(value=15)


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """One instance a route, off until it turns it on."""
    return tuple(
        HttpFilter(
            name=names.adaptive_concurrency(route.name),
            typed_config=Any.pack(_controller(route.adaptive_concurrency)),
            disabled=True,
        )
        for route in sorted(gateway.routes, key=lambda route: route.name)
        if route.adaptive_concurrency is not None
    )


def per_route(route: Route | None) -> PerRoute:
    """The route's own instance."""
    if route is None or route.adaptive_concurrency is None:
        return {}
    return {names.adaptive_concurrency(route.name): ON}


def _controller(bounds: Bounds) -> AdaptiveConcurrency:
    return AdaptiveConcurrency(
        gradient_controller_config=GradientControllerConfig(
            sample_aggregate_percentile=Percent(value=bounds.percentile),
            concurrency_limit_params=GradientControllerConfigConcurrencyLimitCalculationParams(
                max_concurrency_limit=bounds.max_concurrency,
                concurrency_update_interval=timedelta(seconds=bounds.interval),
            ),
            min_rtt_calc_params=GradientControllerConfigMinimumRttCalculationParams(
                interval=IDLE_LATENCY_INTERVAL,
                request_count=IDLE_LATENCY_REQUESTS,
                min_concurrency=bounds.min_concurrency,
                jitter=JITTER,
            ),
        )
    )
