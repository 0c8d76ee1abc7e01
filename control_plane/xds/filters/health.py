"""`/health` and `/readyz`, answered by Envoy itself: alive, and able to decide and limit."""

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher
from envoy_data_plane.envoy.extensions.filters.http.health_check.v3 import HealthCheck
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway
from control_plane.xds import names


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Both answer 503 while the listener drains; readiness also while a service is not SERVING."""
    services = {name: Percent(value=100) for name in (names.AUTHZ_CLUSTER, names.RATELIMIT_CLUSTER)}
    return (
        _probe(names.HEALTH, "/health", {}),
        _probe(names.READY, "/readyz", services),
    )


def _probe(name: str, path: str, clusters: dict[str, Percent]) -> HttpFilter:
    check = HealthCheck(
        pass_through_mode=False,
        headers=[HeaderMatcher(name=":path", string_match=StringMatcher(exact=path))],
        cluster_min_healthy_percentages=clusters,
    )
    return HttpFilter(name=name, typed_config=Any.pack(check))
