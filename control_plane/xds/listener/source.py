"""Where Envoy gets what a listener names: its routes and its secrets."""

from envoy_data_plane.envoy.config.core.v3 import AggregatedConfigSource, ApiVersion, ConfigSource


def over_ads() -> ConfigSource:
    """On the stream that brought the name; `secrets.py` has the same for clusters."""
    return ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
