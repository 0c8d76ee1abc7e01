"""`/health` and `/readyz`, answered by Envoy itself: alive, and able to decide, limit and reach what it must."""

from collections.abc import Iterator

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher
from envoy_data_plane.envoy.extensions.filters.http.health_check.v3 import HealthCheck
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway
from control_plane.xds import names

# In percent: so many endpoints must be healthy. Envoy drops fractions; of up to a hundred endpoints, this is one.
ONE_ENDPOINT = 1


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Both answer 503 while the listener drains; readiness also while a service or a required upstream is away."""
    needed = {name: Percent(value=ONE_ENDPOINT) for name in _needed(gateway)}
    return (
        _probe(names.HEALTH, "/health", {}),
        _probe(names.READY, "/readyz", needed),
    )


def _needed(gateway: Gateway) -> Iterator[str]:
    """The clusters that must answer; the translator's is there where calls may be translated."""
    yield names.AUTHZ_CLUSTER
    yield names.RATELIMIT_CLUSTER
    if gateway.llm is not None and gateway.llm.translates:
        yield names.TRANSLATOR_CLUSTER
    yield from (upstream.name for upstream in gateway.upstreams if upstream.required)


def _probe(name: str, path: str, clusters: dict[str, Percent]) -> HttpFilter:
    check = HealthCheck(
        pass_through_mode=False,
        headers=[HeaderMatcher(name=":path", string_match=StringMatcher(exact=path))],
        cluster_min_healthy_percentages=clusters,
    )
    return HttpFilter(name=name, typed_config=Any.pack(check))
