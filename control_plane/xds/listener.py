"""Listeners: how a connection is read, normalised and bounded before any rule looks at it."""

from datetime import timedelta

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import (
    HeaderMutation,
    HeaderMutationRemoveOnMatch,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    HttpProtocolOptionsHeadersWithUnderscoresAction,
    SocketAddress,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    HttpConnectionManagerServerHeaderTransformation,
    HttpConnectionManagerUpgradeConfig,
    Rds,
)
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    HeaderMutation as EarlyHeaderMutation,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher
from envoy_data_plane.google.protobuf import Any

from control_plane.config.values import LARGEST_BODY_LIMIT
from control_plane.ir.model import Gateway
from control_plane.ir.model import Listener as ListenerIR
from control_plane.xds import names
from control_plane.xds.access_log import access_log
from control_plane.xds.filters.chain import http_filters
from control_plane.xds.local_reply import local_reply_config
from control_plane.xds.wiring import Wiring
from service_kit import contract

# Above every body limit, so that the filter with the clear answer decides and no buffer stalls first.
BUFFER_LIMIT = LARGEST_BODY_LIMIT + (1 << 20)
# A request whose headers or body do not arrive pins memory.
REQUEST_TIMEOUT = timedelta(seconds=60)
REQUEST_HEADERS_TIMEOUT = timedelta(seconds=10)
# For routes that say nothing shorter or longer.
STREAM_IDLE_TIMEOUT = timedelta(seconds=300)
CONNECTION_IDLE_TIMEOUT = timedelta(seconds=300)
MAX_CONCURRENT_STREAMS = 100
MAX_REQUEST_HEADERS_KB = 60


def listener(gateway: Gateway, item: ListenerIR, wiring: Wiring) -> Listener:
    """The Envoy listener: one connection manager whose routes come over ADS."""
    manager = connection_manager(gateway, item, wiring)
    http = Filter(name="envoy.filters.network.http_connection_manager", typed_config=Any.pack(manager))
    return Listener(
        name=item.name,
        address=Address(socket_address=SocketAddress(address=item.address.host, port_value=item.address.port)),
        filter_chains=[FilterChain(name=item.name, filters=[http])],
        per_connection_buffer_limit_bytes=BUFFER_LIMIT,
    )


def connection_manager(gateway: Gateway, item: ListenerIR, wiring: Wiring) -> HttpConnectionManager:
    """Paths are normalised and ambiguous ones refused before routing, so that every rule sees one string."""
    return HttpConnectionManager(
        stat_prefix=item.name,
        rds=Rds(
            route_config_name=names.ROUTES,
            config_source=ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3),
        ),
        http_filters=http_filters(gateway),
        early_header_mutation_extensions=[_clients_internal_headers_removed()],
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST,
        common_http_protocol_options=HttpProtocolOptions(
            idle_timeout=CONNECTION_IDLE_TIMEOUT,
            headers_with_underscores_action=HttpProtocolOptionsHeadersWithUnderscoresAction.REJECT_REQUEST,
        ),
        http2_protocol_options=Http2ProtocolOptions(max_concurrent_streams=MAX_CONCURRENT_STREAMS),
        max_request_headers_kb=MAX_REQUEST_HEADERS_KB,
        request_timeout=REQUEST_TIMEOUT,
        request_headers_timeout=REQUEST_HEADERS_TIMEOUT,
        stream_idle_timeout=STREAM_IDLE_TIMEOUT,
        strip_trailing_host_dot=True,
        use_remote_address=True,
        always_set_request_id_in_response=True,
        server_name="tollgate",
        server_header_transformation=HttpConnectionManagerServerHeaderTransformation.OVERWRITE,
        # Known, so that a route may allow it; off unless it does.
        upgrade_configs=[HttpConnectionManagerUpgradeConfig(upgrade_type="websocket", enabled=False)],
        access_log=[access_log(wiring.access_log)],
        local_reply_config=local_reply_config(),
    )


def _clients_internal_headers_removed() -> TypedExtensionConfig:
    """Before the route is chosen: a filter of the chain would act too late."""
    removed = [
        HeaderMutation(remove_on_match=HeaderMutationRemoveOnMatch(key_matcher=_pattern(names)))
        for names in contract.CLIENT_FORBIDDEN_HEADERS
    ]
    mutation = EarlyHeaderMutation(mutations=removed)
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=Any.pack(mutation)
    )


def _pattern(regex: str) -> StringMatcher:
    return StringMatcher(safe_regex=RegexMatcher(regex=regex))
