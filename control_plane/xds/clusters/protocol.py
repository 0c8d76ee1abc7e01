"""What is spoken with an upstream, and what is done to each request on the last step to it."""

from collections.abc import Iterator

from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2 as credential_injector_pb
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as header_mutation_pb
from envoy.extensions.filters.http.lua.v3 import lua_pb2 as lua_pb
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2 as upstream_codec_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2 as generic_pb
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http_options_pb

from control_plane.ir.model import Credential, Protocol, Upstream
from control_plane.xds import names
from control_plane.xds.filters import cache
from control_plane.xds.packing import packed, seconds
from control_plane.xds.secrets import over_ads

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Node and uvicorn close a connection that was idle for 5 seconds. Whoever closes it must be us, or a request that was
# just sent on it is lost and answered 502.
UPSTREAM_IDLE_TIMEOUT = 4.0
# HTTP/2 says goodbye before it closes, so that nothing is lost; a network that forgot the connection does not.
HTTP2_IDLE_TIMEOUT = 60.0
HTTP2_PING_INTERVAL = 30.0
HTTP2_PING_TIMEOUT = 5.0
# Envoy marks copies as requests of its own; an Envoy behind would believe all that such a one says.
COPIED = "x-envoy-internal"
# What Envoy says where it has written another host; a route removes headers before that.
CLIENTS_HOST = "x-envoy-original-host"


def http_options(upstream: Upstream) -> http_options_pb.HttpProtocolOptions:
    """The protocol as it is written, never guessed; HTTP/2 in clear text begins without an upgrade."""
    options = http_options_pb.HttpProtocolOptions()
    idle = options.common_http_protocol_options.idle_timeout
    if upstream.protocol is Protocol.HTTP2:
        keepalive = options.explicit_http_config.http2_protocol_options.connection_keepalive
        keepalive.interval.CopyFrom(seconds(HTTP2_PING_INTERVAL))
        keepalive.timeout.CopyFrom(seconds(HTTP2_PING_TIMEOUT))
        idle.CopyFrom(seconds(HTTP2_IDLE_TIMEOUT))
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
        idle.CopyFrom(seconds(UPSTREAM_IDLE_TIMEOUT))
    filters = [*_filters(upstream)]
    if filters:
        options.http_filters.extend(filters)
        codec = packed(upstream_codec_pb.UpstreamCodec())
        options.http_filters.add(name=names.UPSTREAM_CODEC, typed_config=codec)
    return options


def _filters(upstream: Upstream) -> Iterator[http_connection_manager_pb.HttpFilter]:
    link = http_connection_manager_pb.HttpFilter
    if upstream.credential is not None:
        injector = packed(_injector(upstream.name, upstream.credential))
        yield link(name=names.CREDENTIAL_INJECTOR, typed_config=injector)
    if upstream.mirrors:
        yield link(name=names.COPIES, typed_config=packed(_without(COPIED)))
    if upstream.hides_host:
        yield link(name=names.CLIENTS_HOST, typed_config=packed(_without(CLIENTS_HOST)))
    if upstream.cached:
        script = lua_pb.Lua()
        script.default_source_code.inline_string = cache.UPSTREAM
        yield link(name=names.KEPT_ANSWERS, typed_config=packed(script))


def _without(header: str) -> header_mutation_pb.HeaderMutation:
    mutation = header_mutation_pb.HeaderMutation()
    mutation.mutations.request_mutations.add(remove=header)
    return mutation


def _injector(upstream: str, credential: Credential) -> credential_injector_pb.CredentialInjector:
    """The gateway's header takes the place of a client's; a request is refused while there is none."""
    generic = generic_pb.Generic(header=credential.header)
    generic.credential.name = names.upstream_secret(upstream, names.CREDENTIAL)
    generic.credential.sds_config.CopyFrom(over_ads())
    injector = credential_injector_pb.CredentialInjector(overwrite=True, allow_request_without_credential=False)
    injector.credential.name = "envoy.http.injected_credentials.generic"
    injector.credential.typed_config.CopyFrom(packed(generic))
    return injector
