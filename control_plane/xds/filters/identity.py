"""Identity headers become metadata: one namespace that limits, guards and logs read, whoever verified the caller."""

from envoy_data_plane.envoy.extensions.filters.http.header_to_metadata.v3 import (
    Config,
    ConfigKeyValuePair,
    ConfigRule,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway
from control_plane.xds import names
from service_kit import contract


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Every part is always written: what is missing is "-", so that no reader drops it."""
    config = Config(request_rules=[_rule(part) for part in contract.IDENTITY_PARTS])
    return (HttpFilter(name=names.IDENTITY, typed_config=Any.pack(config)),)


def _rule(part: str) -> ConfigRule:
    return ConfigRule(
        header=contract.identity_header(part),
        on_header_present=ConfigKeyValuePair(metadata_namespace=contract.IDENTITY_NAMESPACE, key=part),
        on_header_missing=ConfigKeyValuePair(
            metadata_namespace=contract.IDENTITY_NAMESPACE, key=part, value=contract.MISSING
        ),
    )
