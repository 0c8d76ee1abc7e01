"""Identity headers become metadata: one namespace that limits, guards and logs read, whoever verified the caller.

Providers of models are not told who calls: what the log would else find in headers becomes metadata, too.
"""

from envoy_data_plane.envoy.extensions.filters.http.header_to_metadata.v3 import (
    Config,
    ConfigKeyValuePair,
    ConfigRule,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any

from control_plane.ir.model import Gateway
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import has_groups
from service_kit import contract

# Headers of which nothing is left to the log where a model is called, and the one that answers are to name.
KEPT = {
    ":authority": names.CLIENT_METADATA_HOST,
    contract.FORWARDED_FOR_HEADER: names.CLIENT_METADATA_ADDRESS,
    contract.REQUEST_ID_HEADER: names.CLIENT_METADATA_REQUEST,
}


def filters(gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Every part is always written: what is missing is "-", so that no reader drops it."""
    rules = [_rule(part) for part in contract.IDENTITY_PARTS]
    if has_groups(gateway):
        rules += [_kept(header, key) for header, key in KEPT.items()]
    config = Config(request_rules=rules)
    return (HttpFilter(name=names.IDENTITY, typed_config=Any.pack(config)),)


def _rule(part: str) -> ConfigRule:
    return ConfigRule(
        header=contract.identity_header(part),
        on_header_present=ConfigKeyValuePair(metadata_namespace=contract.IDENTITY_NAMESPACE, key=part),
        on_header_missing=ConfigKeyValuePair(
            metadata_namespace=contract.IDENTITY_NAMESPACE, key=part, value=contract.MISSING
        ),
    )


def _kept(header: str, key: str) -> ConfigRule:
    pair = ConfigKeyValuePair(metadata_namespace=names.CLIENT_METADATA, key=key)
    return ConfigRule(header=header, on_header_present=pair)
