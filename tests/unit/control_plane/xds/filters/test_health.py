"""What readiness depends on."""

from envoy_data_plane.envoy.extensions.filters.http.health_check.v3 import HealthCheck

from control_plane.xds.filters import health
from tests.support.compiled import compiled, config


def test_readiness_needs_one_endpoint_of_our_services_and_of_what_is_required() -> None:
    upstreams = {
        "llm": {"endpoints": ["http://10.0.0.1", "http://10.0.0.2"], "readiness": "required"},
        "email": {"url": "http://10.0.0.1"},
    }
    alive, ready = (
        HealthCheck.parse(item.typed_config.value)
        for item in health.filters(compiled(config(upstreams=upstreams)).gateway)
    )

    assert alive.cluster_min_healthy_percentages == {}
    assert {name: item.value for name, item in ready.cluster_min_healthy_percentages.items()} == {
        "llm": 1,
        "tollgate:authz": 1,
        "tollgate:ratelimit": 1,
    }
