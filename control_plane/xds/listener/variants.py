"""The listener behind a variant's cluster: a connection manager of its own, that makes a call what the upstream takes.

Where the upstream speaks another API, the translator is asked, by a filter that runs here and nowhere else: as a filter
of an upstream it would see what earlier tries changed. Otherwise the model gets the name that it has there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2 as ext_proc_pb
from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2 as processing_mode_pb
from envoy.extensions.filters.http.router.v3 import router_pb2 as router_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from envoy.type.v3 import http_status_pb2 as http_status_pb
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.config.values import LARGEST_BODY_LIMIT
from control_plane.ir.model import Destination, Dialect, Gateway, Variant
from control_plane.xds import names
from control_plane.xds.filters.llm.naming import naming
from control_plane.xds.local_reply import replies_behind
from control_plane.xds.packing import packed, seconds
from control_plane.xds.routes.forward import hash_policy, rewrite_host
from control_plane.xds.routes.headers import untold
from service_kit import contract

MANAGER: Final = "envoy.filters.network.http_connection_manager"
TRANSLATION: Final = "envoy.filters.http.ext_proc"
NAMING: Final = "tollgate.naming"
# As in front.
BUFFER_LIMIT: Final = LARGEST_BODY_LIMIT + (1 << 20)
# More than in front, where headers are added.
MAX_REQUEST_HEADERS_KB: Final = 96
MAX_HEADERS: Final = 200
# An answer that breaks off is broken off at once in front as well.
DELAYED_CLOSE: Final = 0.05
OLLAMA_PATH: Final = "/api"
# The name of an answer's length that translators write where nothing is said.
OLDER_LENGTH: Final = "max_tokens"
BOTH_WAYS: Final = processing_mode_pb.ProcessingMode(
    request_header_mode=processing_mode_pb.ProcessingMode.SEND,
    response_header_mode=processing_mode_pb.ProcessingMode.SEND,
    request_body_mode=processing_mode_pb.ProcessingMode.FULL_DUPLEX_STREAMED,
    response_body_mode=processing_mode_pb.ProcessingMode.FULL_DUPLEX_STREAMED,
    request_trailer_mode=processing_mode_pb.ProcessingMode.SEND,
    response_trailer_mode=processing_mode_pb.ProcessingMode.SEND,
)


@dataclass(frozen=True)
class Way:
    """A variant, and the host that it gets."""

    variant: Variant
    host: str | None


def ways(gateway: Gateway) -> Iterator[Way]:
    """Every variant that a route leads to."""
    if gateway.llm is None:
        return
    led: dict[str, Destination] = {}
    for route in gateway.routes:
        if route.model is not None and route.forward is not None:
            for group in (route.forward.destinations, *route.forward.fallback):
                led.update((item.upstream, item) for item in group)
    for variant in gateway.llm.variants:
        if variant.name in led:
            yield Way(variant, led[variant.name].host)


def variant_listener(way: Way) -> listener_pb.Listener:
    """The listener, named as its cluster; it has no port."""
    listener = listener_pb.Listener(name=way.variant.name)
    listener.internal_listener.SetInParent()
    listener.per_connection_buffer_limit_bytes.value = BUFFER_LIMIT
    manager = listener.filter_chains.add().filters.add(name=MANAGER)
    manager.typed_config.CopyFrom(packed(_manager(way)))
    return listener


def _manager(way: Way) -> http_connection_manager_pb.HttpConnectionManager:
    """All bounds of time are kept in front, where the client's connection is."""
    manager = http_connection_manager_pb.HttpConnectionManager(
        stat_prefix=way.variant.name,
        codec_type=http_connection_manager_pb.HttpConnectionManager.HTTP1,
        stream_idle_timeout=seconds(0),
        delayed_close_timeout=seconds(DELAYED_CLOSE),
        preserve_external_request_id=True,
        skip_xff_append=True,
        server_header_transformation=http_connection_manager_pb.HttpConnectionManager.PASS_THROUGH,
        local_reply_config=replies_behind(_spoken(way.variant)),
    )
    manager.generate_request_id.value = False
    manager.use_remote_address.value = False
    manager.max_request_headers_kb.value = MAX_REQUEST_HEADERS_KB
    manager.common_http_protocol_options.max_headers_count.value = MAX_HEADERS
    manager.route_config.name = way.variant.name
    host = manager.route_config.virtual_hosts.add(name=way.variant.name, domains=["*"])
    host.routes.append(_route(way))
    if way.variant.translates is None:
        manager.http_filters.add(name=NAMING, typed_config=naming(way.variant.model))
    else:
        translation = _translation(way.variant, *way.variant.translates)
        manager.http_filters.add(name=TRANSLATION, typed_config=translation)
    manager.http_filters.add(name=names.ROUTER, typed_config=packed(router_pb.Router()))
    return manager


def _route(way: Way) -> route_pb.Route:
    route = route_pb.Route(name=way.variant.name, match=route_pb.RouteMatch(prefix="/"))
    hash_by = () if way.variant.hash_by is None else (way.variant.hash_by,)
    route.request_headers_to_remove.extend(untold(hash_by))
    route.route.cluster = way.variant.upstream
    route.route.timeout.CopyFrom(seconds(0))
    route.route.idle_timeout.CopyFrom(seconds(0))
    route.route.hash_policy.extend(map(hash_policy, hash_by))
    begins, instead = way.variant.path
    if begins != instead:
        route.route.regex_rewrite.pattern.regex = f"^{begins}(/|$)"
        route.route.regex_rewrite.substitution = instead.replace("\\", "\\\\") + r"\1"
    rewrite_host(route.route, way.host, tells_host=False)
    return route


def _spoken(variant: Variant) -> Dialect:
    """By the client."""
    if variant.translates is not None:
        return variant.translates[0]
    return Dialect.OLLAMA if variant.path[0] == OLLAMA_PATH else Dialect.OPENAI


def _translation(variant: Variant, dialect: Dialect, provider: str) -> ProtoAny:
    """The call to the translator, for each call of a model a stream as long as it; it fails closed."""
    processor = ext_proc_pb.ExternalProcessor(
        processing_mode=BOTH_WAYS, response_attributes=[contract.TRANSLATED_ATTRIBUTE]
    )
    processor.grpc_service.envoy_grpc.cluster_name = names.TRANSLATOR_CLUSTER
    said = {
        contract.TRANSLATED_DIALECT: dialect.value,
        contract.TRANSLATED_PROVIDER: provider,
        contract.TRANSLATED_MODEL: variant.model,
        **({} if variant.takes == OLDER_LENGTH else {contract.TRANSLATED_LENGTH: variant.takes}),
        **({} if variant.asks_usage else {contract.TRANSLATED_USAGE: contract.UNASKED}),
    }
    for key, value in said.items():
        processor.grpc_service.initial_metadata.add(key=key, value=value)
    # The path: which one, is the provider's word.
    processor.mutation_rules.allow_all_routing.value = True
    processor.status_on_error.code = http_status_pb.ServiceUnavailable
    return packed(processor)
