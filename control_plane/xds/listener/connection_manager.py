"""How requests are read from a connection: normalised, bounded, and without headers that only the gateway sets."""

from datetime import timedelta

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import (
    HeaderMutation,
    HeaderMutationRemoveOnMatch,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Http2ProtocolOptions,
    HttpProtocolOptions,
    HttpProtocolOptionsHeadersWithUnderscoresAction,
    TypedExtensionConfig,
)
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

from control_plane.ir.model import Gateway, Listener
from control_plane.xds import names
from control_plane.xds.access_log import CLIENT_ADDRESS, access_log
from control_plane.xds.filters.chain import http_filters
from control_plane.xds.filters.llm.groups import has_groups
from control_plane.xds.https_redirect import HTTPS_PORT
from control_plane.xds.listener.client_address import Peers, detection, forbidden_headers
from control_plane.xds.listener.source import over_ads
from control_plane.xds.local_reply import local_reply_config
from control_plane.xds.wiring import Wiring

# A request whose headers or body do not arrive pins memory.
REQUEST_TIMEOUT = timedelta(seconds=60)
REQUEST_HEADERS_TIMEOUT = timedelta(seconds=10)
# For routes that say nothing shorter or longer.
STREAM_IDLE_TIMEOUT = timedelta(seconds=300)
CONNECTION_IDLE_TIMEOUT = timedelta(seconds=300)
MAX_CONCURRENT_STREAMS = 100
MAX_REQUEST_HEADERS_KB = 60


def connection_manager(
    gateway: Gateway, item: Listener, peer: Peers, wiring: Wiring, *, client: str = CLIENT_ADDRESS
) -> HttpConnectionManager:
    """Paths are normalised and ambiguous ones refused before routing, so that every rule sees one string.

    `client` is how the access log finds the client's address.
    """
    return HttpConnectionManager(
        stat_prefix=item.name,
        rds=Rds(route_config_name=_routes(item), config_source=over_ads()),
        http_filters=http_filters(gateway, item),
        early_header_mutation_extensions=[_removed(forbidden_headers(peer))],
        normalize_path=True,
        merge_slashes=True,
        # Refused by one of the first routes, but in names of models.
        path_with_escaped_slashes_action=HttpConnectionManagerPathWithEscapedSlashesAction.KEEP_UNCHANGED,
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
        # The port of clear text would stand in a redirect that names none.
        strip_any_host_port=True if item.https_redirect == HTTPS_PORT else None,
        # Either the peer is the client, or the headers of a proxy say who is.
        use_remote_address=peer is Peers.ANYONE,
        original_ip_detection_extensions=detection(item, peer),
        always_set_request_id_in_response=True,
        server_name="tollgate",
        server_header_transformation=HttpConnectionManagerServerHeaderTransformation.OVERWRITE,
        # Known, so that a route may allow it; off unless it does.
        upgrade_configs=[HttpConnectionManagerUpgradeConfig(upgrade_type="websocket", enabled=False)],
        access_log=[access_log(wiring.access_log, item.name, client, spoken=has_groups(gateway))],
        local_reply_config=local_reply_config(spoken=has_groups(gateway)),
    )


def _routes(item: Listener) -> str:
    return names.ROUTES if item.https_redirect is None else names.https_redirect(item.https_redirect)


def _removed(patterns: tuple[str, ...]) -> TypedExtensionConfig:
    """Before the route is chosen: a filter of the chain would act too late."""
    removed = [
        HeaderMutation(remove_on_match=HeaderMutationRemoveOnMatch(key_matcher=_pattern(pattern)))
        for pattern in patterns
    ]
    mutation = EarlyHeaderMutation(mutations=removed)
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=Any.pack(mutation)
    )


def _pattern(regex: str) -> StringMatcher:
    return StringMatcher(safe_regex=RegexMatcher(regex=regex))
