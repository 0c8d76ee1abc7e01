"""Which filters a listener must run, in which order, and what a route may say to each."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.config.model import DEFAULT_BODY_LIMIT
from control_plane.xds import names
from control_plane.xds.packing import TYPE_PREFIX

FILTER_CONFIG: Final = TYPE_PREFIX + route_pb.FilterConfig.DESCRIPTOR.full_name
EXTENSIONS: Final = TYPE_PREFIX + "envoy.extensions.filters.http."
DEFAULT_LIMIT: Final = names.body_limit(DEFAULT_BODY_LIMIT)
# Of a filter whose content does not come with the listener.
TOLD_LATER: Final = ""
TYPED_STRUCT: Final = TYPE_PREFIX + typed_struct_pb.TypedStruct.DESCRIPTOR.full_name
# The filters that judge a request, with their types: in every listener, on, in this order; others may stand between.
JUDGES: Final[Mapping[str, str]] = {
    DEFAULT_LIMIT: TYPED_STRUCT,
    names.IP_LIST: EXTENSIONS + "rbac.v3.RBAC",
    names.EXT_AUTHZ: EXTENSIONS + "ext_authz.v3.ExtAuthz",
    names.IDENTITY: EXTENSIONS + "header_to_metadata.v3.Config",
    names.PROFILE_GUARD: EXTENSIONS + "rbac.v3.RBAC",
    names.RATELIMIT: EXTENSIONS + "ratelimit.v3.RateLimit",
    names.ROUTER: EXTENSIONS + "router.v3.Router",
}
# What a route may say to each filter; to an instance of several, by what its name begins with.
PER_ROUTE_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    names.CORS: (EXTENSIONS + "cors.v3.CorsPolicy",),
    names.CORS_VARY: (FILTER_CONFIG,),
    names.IP_LIST: (FILTER_CONFIG, EXTENSIONS + "rbac.v3.RBACPerRoute"),
    names.JWT_AUTHN: (FILTER_CONFIG,),
    names.NATIVE_TOKEN: (FILTER_CONFIG,),
    names.OWN_SIGNATURE: (FILTER_CONFIG,),
    names.OWN_TOKEN: (FILTER_CONFIG,),
    names.NATIVE_GRANT: (EXTENSIONS + "rbac.v3.RBACPerRoute",),
    names.NATIVE_IDENTITY: (FILTER_CONFIG,),
    names.NATIVE_CREDENTIAL: (FILTER_CONFIG,),
    names.EXT_AUTHZ: (EXTENSIONS + "ext_authz.v3.ExtAuthzPerRoute",),
    names.OF_PLANS: (FILTER_CONFIG,),
    names.ANY_TYPE: (FILTER_CONFIG,),
    names.UNUSED_TOKENS: (FILTER_CONFIG,),
    names.JSON_TOKENS: (FILTER_CONFIG,),
    names.TOKEN_SPELLINGS: (FILTER_CONFIG,),
    names.PARAMETERS: (EXTENSIONS + "lua.v3.LuaPerRoute",),
    names.PROFILE_GUARD: (EXTENSIONS + "rbac.v3.RBACPerRoute",),
    names.MODEL_GUARD: (EXTENSIONS + "rbac.v3.RBACPerRoute",),
    names.TOKEN_GUARD: (EXTENSIONS + "rbac.v3.RBACPerRoute",),
    names.INSTANCE_LIMITS: (FILTER_CONFIG,),
    names.STREAM_ENDS: (EXTENSIONS + "ratelimit.v3.RateLimitPerRoute",),
    names.RATELIMIT: (EXTENSIONS + "ratelimit.v3.RateLimitPerRoute",),
    names.BODY_REWRITE: (EXTENSIONS + "transform.v3.TransformConfig",),
    names.BODY_GUARD: (EXTENSIONS + "rbac.v3.RBACPerRoute",),
    names.FAULT: (EXTENSIONS + "fault.v3.HTTPFault",),
    names.STREAMED_TOKENS: (FILTER_CONFIG,),
    names.EVENTS: (FILTER_CONFIG,),
    names.LINES: (FILTER_CONFIG,),
    names.CACHE_EDGE: (FILTER_CONFIG,),
    names.CACHE: (FILTER_CONFIG,),
}
# What the last route of a group only turns on, for others to say what they do; on another route that would be nothing.
TURNED_ON: Final = (names.PARAMETERS, names.MODEL_GUARD, names.STREAM_ENDS, names.BODY_REWRITE)
INSTANCES: Final = (names.BODY_LIMIT, names.ADAPTIVE_CONCURRENCY, names.BANDWIDTH)
# What every route must say something to: it is on for those that do not.
NEVER_FORGOTTEN: Final = (names.IP_LIST, names.EXT_AUTHZ, names.PROFILE_GUARD)
# Filters that some routes turn on: off for all others, and always there where a rule must hold for connections that
# keep the filters they began with.
SWITCHED: Final[Mapping[str, str]] = {
    names.CORS_VARY: EXTENSIONS + "header_mutation.v3.HeaderMutation",
    names.CORS: EXTENSIONS + "cors.v3.Cors",
    names.JWT_AUTHN: TYPED_STRUCT,
    names.NATIVE_TOKEN: EXTENSIONS + "rbac.v3.RBAC",
    names.OWN_SIGNATURE: TOLD_LATER,
    names.OWN_TOKEN: TOLD_LATER,
    names.NATIVE_GRANT: EXTENSIONS + "rbac.v3.RBAC",
    names.NATIVE_IDENTITY: EXTENSIONS + "header_mutation.v3.HeaderMutation",
    names.NATIVE_CREDENTIAL: EXTENSIONS + "header_mutation.v3.HeaderMutation",
    names.OF_PLANS: EXTENSIONS + "set_filter_state.v3.Config",
    names.ANY_TYPE: EXTENSIONS + "header_mutation.v3.HeaderMutation",
    names.UNUSED_TOKENS: EXTENSIONS + "set_metadata.v3.Config",
    names.JSON_TOKENS: EXTENSIONS + "json_to_metadata.v3.JsonToMetadata",
    names.TOKEN_SPELLINGS: EXTENSIONS + "lua.v3.Lua",
    names.PARAMETERS: EXTENSIONS + "lua.v3.Lua",
    names.MODEL_GUARD: EXTENSIONS + "rbac.v3.RBAC",
    names.TOKEN_GUARD: EXTENSIONS + "rbac.v3.RBAC",
    names.INSTANCE_LIMITS: TYPED_STRUCT,
    names.STREAM_ENDS: EXTENSIONS + "ratelimit.v3.RateLimit",
    names.BODY_REWRITE: EXTENSIONS + "transform.v3.TransformConfig",
    names.BODY_GUARD: EXTENSIONS + "rbac.v3.RBAC",
    names.FAULT: EXTENSIONS + "fault.v3.HTTPFault",
    names.ADAPTIVE_CONCURRENCY: EXTENSIONS + "adaptive_concurrency.v3.AdaptiveConcurrency",
    names.BANDWIDTH: EXTENSIONS + "bandwidth_limit.v3.BandwidthLimit",
    names.STREAMED_TOKENS: EXTENSIONS + "sse_to_metadata.v3.SseToMetadata",
    names.EVENTS: EXTENSIONS + "lua.v3.Lua",
    names.LINES: EXTENSIONS + "lua.v3.Lua",
    names.CACHE_EDGE: EXTENSIONS + "lua.v3.Lua",
    names.CACHE: EXTENSIONS + "cache_v2.v3.CacheV2Config",
}
ALWAYS_THERE: Final = (
    names.MODEL_GUARD, names.TOKEN_GUARD, names.STREAM_ENDS, names.BODY_REWRITE, names.BODY_GUARD
)  # fmt: skip
# On ways that a route takes as a whole: what one of them leaves open the next one closes. What ends in a verdict on a
# token, of other issuers and of the gateway itself, what makes an identity of a verdict, and what counts tokens.
OF_OTHERS: Final = (names.JWT_AUTHN, names.NATIVE_TOKEN)
OF_OWN: Final = (names.OWN_SIGNATURE, names.OWN_TOKEN)
OF_BOTH: Final = (names.NATIVE_GRANT, names.NATIVE_IDENTITY)
METERED: Final = (names.UNUSED_TOKENS, names.JSON_TOKENS, names.TOKEN_SPELLINGS, names.TOKEN_GUARD)
# What streams came to is read by one of these.
STREAMS: Final = (names.STREAMED_TOKENS, names.EVENTS, names.LINES)
TOGETHER: Final = (
    OF_OTHERS,
    OF_OWN,
    OF_BOTH,
    *pairwise(METERED),
    (names.CORS_VARY, names.CORS),
    (names.CACHE_EDGE, names.CACHE),
)
# The order of all of them, by name or by what the names of several instances begin with.
PLACES: Final = (
    names.CORS_VARY,
    names.CORS,
    DEFAULT_LIMIT,
    names.IP_LIST,
    *OF_OTHERS,
    *OF_OWN,
    *OF_BOTH,
    names.EXT_AUTHZ,
    names.NATIVE_CREDENTIAL,
    names.IDENTITY,
    names.OF_PLANS,
    names.ANY_TYPE,
    names.UNUSED_TOKENS,
    names.JSON_TOKENS,
    names.TOKEN_SPELLINGS,
    names.PARAMETERS,
    names.PROFILE_GUARD,
    names.MODEL_GUARD,
    names.TOKEN_GUARD,
    names.INSTANCE_LIMITS,
    names.STREAM_ENDS,
    names.RATELIMIT,
    names.BODY_REWRITE,
    names.BODY_GUARD,
    names.FAULT,
    names.ADAPTIVE_CONCURRENCY,
    names.BANDWIDTH,
    names.STREAMED_TOKENS,
    names.EVENTS,
    names.LINES,
    names.CACHE_EDGE,
    names.CACHE,
    names.ROUTER,
)


def chain_faults(listener: str, chain: Sequence[http_connection_manager_pb.HttpFilter]) -> Iterator[str]:
    """What is wrong with the filters of a listener."""
    found = [link.name for link in chain if link.name in JUDGES]
    if found != list(JUDGES) or chain[-1].name != names.ROUTER:
        yield f"listener {listener!r} runs {', '.join(found)}; a request is judged by {', '.join(JUDGES)}"
    placed = [_kind(link.name) for link in chain if _kind(link.name) in PLACES]
    if placed != sorted(placed, key=PLACES.index):
        yield f"listener {listener!r} runs {', '.join(placed)}; their order is {', '.join(PLACES)}"
    yield from (f"listener {listener!r} has no filter {name!r}" for name in ALWAYS_THERE if name not in placed)
    for link in chain:
        yield from _link_faults(listener, link)


def _link_faults(listener: str, link: http_connection_manager_pb.HttpFilter) -> Iterator[str]:
    kind = _kind(link.name)
    if kind in JUDGES and (link.disabled or link.is_optional):
        yield f"listener {listener!r} has filter {link.name!r} off, or optional"
    if kind in SWITCHED and (not link.disabled or link.is_optional):
        yield f"listener {listener!r} has filter {link.name!r} on for all routes, or optional"
    if link.typed_config.type_url != {**JUDGES, **SWITCHED}.get(kind, link.typed_config.type_url):
        yield f"listener {listener!r} has {link.typed_config.type_url} as filter {link.name!r}"


def _kind(name: str) -> str:
    """The filter's name, or of several instances for routes what all their names begin with."""
    return next((kind for kind in (names.ADAPTIVE_CONCURRENCY, names.BANDWIDTH) if name.startswith(f"{kind}.")), name)
