"""What readiness depends on."""

import pytest
from envoy_data_plane.envoy.extensions.filters.http.health_check.v3 import HealthCheck
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from control_plane.config.discovered import DiscoveredModel
from control_plane.xds.filters import health
from tests.support.compiled import compiled, config
from tests.support.models import compiled_models, found_models


def parsed(item: HttpFilter) -> HealthCheck:
    return HealthCheck.parse(item.typed_config.value)


def test_readiness_needs_one_endpoint_of_our_services_and_of_what_is_required() -> None:
    upstreams = {
        "llm": {"endpoints": ["http://10.0.0.1", "http://10.0.0.2"], "readiness": "required"},
        "email": {"url": "http://10.0.0.1"},
    }
    alive, ready = map(parsed, health.filters(compiled(config(upstreams=upstreams)).gateway))

    assert alive.cluster_min_healthy_percentages == {}
    assert {name: item.value for name, item in ready.cluster_min_healthy_percentages.items()} == {
        "llm": 1,
        "tollgate:authz": 1,
        "tollgate:ratelimit": 1,
    }


@pytest.mark.parametrize(
    ("api", "ollama", "needed"),
    [
        pytest.param("ollama-native", False, True, id="translated"),
        pytest.param("openai", True, True, id="translated for the clients of Ollama"),
        pytest.param("openai", False, False, id="as it is"),
        pytest.param("ollama", True, False, id="as it is in both APIs"),
    ],
)
def test_readiness_needs_the_translator_where_calls_are_translated(api: str, ollama: bool, needed: bool) -> None:
    said = config(
        upstreams={"provider": {"url": "http://10.0.0.1", "api": api}},
        models=[{"name": "clever", "upstream": "provider"}],
        llm={"auth": "none", "ollama": ollama},
    )
    _, ready = map(parsed, health.filters(compiled(said).gateway))

    assert ("tollgate:translator" in ready.cluster_min_healthy_percentages) is needed


@pytest.mark.parametrize("found", [(), found_models("clever")], ids=["none", "one"])
@pytest.mark.parametrize(("api", "needed"), [("ollama-native", True), ("ollama", False)])
def test_readiness_does_not_depend_on_which_models_are_discovered(
    api: str, found: tuple[DiscoveredModel, ...], needed: bool
) -> None:
    """Else listeners would change whenever an upstream comes or goes."""
    said = config(
        upstreams={"provider": {"url": "http://10.0.0.1", "api": api}},
        discovery={"upstreams": ["provider"]},
        llm={"auth": "none"},
    )
    _, ready = map(parsed, health.filters(compiled_models(said, {"provider": found}).gateway))

    assert ("tollgate:translator" in ready.cluster_min_healthy_percentages) is needed
