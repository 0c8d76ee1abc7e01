"""Configurations with language models, and what upstreams are said to list."""

from collections.abc import Mapping
from typing import Any

from control_plane.checked import Checked, meant
from control_plane.config.discovered import DiscoveredModel, with_discovered
from control_plane.ir.build import Builder
from control_plane.ir.model import Route
from tests.support.compiled import IDENTITY, compiled, config

MODEL_UPSTREAMS: Mapping[str, Any] = {
    "local": {"url": "http://127.0.0.1:11434", "api": "ollama"},
    "native": {"url": "http://127.0.0.1:11435", "api": "ollama-native"},
    "hosted": {"url": "http://api.example.com/openai/v1", "api": "openai", "host_header": "upstream"},
}


def with_models(*models: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A configuration whose callers bring a bearer token, with three upstreams and these models."""
    content = config(
        upstreams=dict(MODEL_UPSTREAMS),
        identity=IDENTITY,
        defaults={"auth": ["bearer"]},
        models=[dict(item) for item in models],
    )
    return {**content, **changes}


def model(name: str = "m", upstream: Any = "local", **changes: Any) -> dict[str, Any]:
    return {"name": name, "upstream": upstream, **changes}


def found_models(*names: str, **facts: Any) -> tuple[DiscoveredModel, ...]:
    return tuple(DiscoveredModel(name, **facts) for name in names)


def compiled_models(
    content: Mapping[str, Any], found: Mapping[str, tuple[DiscoveredModel, ...]] | None = None
) -> Checked:
    """What the configuration means where upstreams list these models."""
    checked = compiled(content)
    return checked if found is None else meant(with_discovered(checked.loaded, found), Builder())


def routes_of(checked: Checked) -> dict[str, Route]:
    return {route.name: route for route in checked.gateway.routes}
