"""Errors that Envoy makes by itself, in the one shape of this gateway. The first mapper that fits decides.

Answers of upstreams are never touched; answers of our services are kept where they are already in that shape.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    ExtensionFilter,
    MetadataFilter,
    ResponseFlagFilter,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    RuntimeUInt32,
    SubstitutionFormatString,
)
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel.v3 import ExpressionFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    LocalReplyConfig,
    ResponseMapper,
)
from envoy_data_plane.envoy.type.matcher.v3 import (
    MetadataMatcher,
    MetadataMatcherPathSegment,
    StringMatcher,
    ValueMatcher,
)
from envoy_data_plane.google.protobuf import Any, Struct

from control_plane.xds import names
from control_plane.xds.filters import body_rewrite, ip_list, profile_guard
from control_plane.xds.filters.metering import guard
from service_kit import contract

UNREACHABLE_FLAGS = ("UF", "UC", "UH", "URX", "LR", "UR", "DF", "NC")
QUOTA = (
    contract.LIMIT_RULE,
    contract.LIMIT_USAGE,
    contract.LIMIT_USED,
    contract.LIMIT_LIMIT,
    contract.LIMIT_WINDOW,
    contract.LIMIT_RESETS_AT,
)


def _of_limit(key: str) -> str:
    return f"%DYNAMIC_METADATA({contract.LIMIT_NAMESPACE}:{key})%"


LIMIT_MESSAGE = _of_limit(contract.LIMIT_MESSAGE)
MOST_TOKENS = f"%METADATA(ROUTE:{names.ROUTE_METADATA}:{names.ROUTE_METADATA_MOST})%"


@dataclass(frozen=True)
class Reply:
    """One kind of error: when it applies, and what the client is told. All given conditions must hold."""

    code: str
    message: str
    status: int | None = None
    flags: tuple[str, ...] = ()
    at_least: int | None = None
    expression: str | None = None
    limit_kind: str | None = None
    answer: int | None = field(default=None, kw_only=True)
    # Whether the client is told which quota is spent.
    quota: bool = field(default=False, kw_only=True)


# The answer of a route. Names that the configuration gives hold no colon.
WRITTEN_ANSWER = "response.code_details == 'direct_response' && !xds.route_name.contains(':')"

REPLIES = (
    # An authorizer that is dead, late or makes no sense. Its denials, 503 too, have their body already and keep it.
    Reply("authorization_unavailable", "Authorization cannot be decided now: retry in a moment.",
          flags=("UAEX",), at_least=500, expression="response.code_details != 'ext_authz_denied'", answer=503),
    Reply("limiter_unavailable", "Limits cannot be checked now: retry in a moment.", flags=("RLSE",), answer=503),
    Reply("fault_injected", "The gateway was told to refuse some requests, to see how clients take it.",
          expression="response.code_details == 'fault_filter_abort'"),
    Reply("rate_limited", "A limit is used up: retry after as many seconds as Retry-After says.", status=429,
          expression="response.code_details == 'local_rate_limited'"),
    Reply("rate_limited", LIMIT_MESSAGE, status=429, limit_kind=contract.KIND_LIMIT),
    Reply("quota_exceeded", LIMIT_MESSAGE, status=429, limit_kind=contract.KIND_QUOTA, answer=402, quota=True),
    Reply("invalid_request", LIMIT_MESSAGE, status=429, limit_kind=contract.KIND_REQUEST, answer=400),
    Reply("caller_not_countable", LIMIT_MESSAGE, status=429, limit_kind=contract.KIND_CALLER, answer=403),
    # Before "unreachable": a timed-out last try carries both flags.
    Reply("upstream_timeout", "The upstream did not answer in time: retry, or ask the operator for a longer `timeout`.",
          flags=("UT", "UMSDR"), answer=504),
    # Envoy has not set the flag DT yet when the mappers run.
    Reply("stream_timeout", "The stream reached the longest duration that the route allows.",
          expression="response.code_details == 'max_duration_timeout'", answer=504),
    Reply("upstream_timeout", "The upstream did not accept a connection in time: retry in a moment.",
          expression="response.code_details.contains('connection_timeout')", answer=504),
    Reply("idle_timeout", "The upstream sent nothing for too long: retry, or ask the operator for more time.",
          status=504, flags=("SI",)),
    Reply("idle_timeout", "Nothing was sent for too long: send the request without long pauses.", flags=("SI",)),
    Reply("upstream_unreachable", "The upstream cannot be reached: retry, or give the operator the request id.",
          status=503, flags=UNREACHABLE_FLAGS, answer=502),
    # A broken answer of the upstream.
    Reply("upstream_unreachable", "The upstream gave no valid answer: give the operator the request id.",
          status=502, flags=("UPE",)),
    Reply("upstream_overloaded", "Too many requests wait for this upstream: retry in a moment.", flags=("UO",)),
    Reply("gateway_overloaded", "The gateway is overloaded: retry in a moment.", flags=("OM",)),
    # A request that the overload manager does not let in carries no flag.
    Reply("gateway_overloaded", "The gateway is overloaded: retry in a moment.", status=503,
          expression="response.code_details == 'overload'"),
    Reply("concurrency_limited", "The upstream is slower than it should be: retry in a moment.", status=503,
          expression="response.code_details == 'reached_concurrency_limit'"),
    Reply("origin_not_allowed", "Pages of this origin may not call this route.", status=403,
          expression=f"response.code_details.contains('{ip_list.NOBODY_POLICY}')"),
    Reply("ip_not_allowed", "Your address may not call this route.", status=403,
          expression=f"response.code_details.contains('{ip_list.POLICY}')"),
    Reply("body_not_rewritten", "The request body is no JSON object that can be read in one way only.", status=403,
          expression=f"response.code_details.contains('{body_rewrite.POLICY}')", answer=400),
    Reply("invalid_request",
          f"What the request asks for cannot be counted: an answer may have 1 to {MOST_TOKENS} tokens, a whole number "
          f"by one of the API's own names; `n` is 1 to {guard.MOST_ANSWERS}, `stream` true or false, and a prompt of "
          "completions one text.",
          status=403, expression=f"response.code_details.contains('{guard.POLICY}')", answer=400),
    Reply("route_changed", "The request no longer matches the route that it was authorized for.", status=403,
          expression=f"response.code_details.contains('{profile_guard.POLICY}')"),
    Reply("payload_too_large", "The request body is larger than this route accepts: send less.", status=413),
    Reply("headers_too_large", "The request headers are too large: send less.", status=431),
    Reply("route_not_found", "No route matches this path, method and host.", status=404),
    Reply("request_timeout", "The request did not arrive in time: send it faster.", status=408),
    Reply("upgrade_not_allowed", "This route allows no protocol upgrade.", status=403,
          expression="response.code_details == 'upgrade_failed'"),
    Reply("forbidden", "This request is not allowed.", status=403),
    Reply("not_ready", "The gateway is not ready: retry in a moment.", status=503),
    Reply("bad_request", "The Host header names no host.", status=400,
          expression=f"xds.route_name == '{names.ODD_HOST}'"),
    Reply("bad_request", "X-Forwarded-For holds something else than addresses.", status=400,
          expression=f"xds.route_name == '{names.ODD_CLIENT}'"),
    Reply("bad_request", "The request is malformed: %RESPONSE_CODE_DETAILS%.", status=400),
    Reply("error", "%LOCAL_REPLY_BODY%", at_least=400),
)  # fmt: skip


def local_reply_config() -> LocalReplyConfig:
    """The mappers in order; denials of the authorizer keep the body it made, answers of routes the one written."""
    first, *others = (_mapper(reply) for reply in REPLIES)
    written = ResponseMapper(filter=_holds(WRITTEN_ANSWER))
    return LocalReplyConfig(mappers=[first, _kept(("UAEX",)), written, *others])


def _mapper(reply: Reply) -> ResponseMapper:
    error: dict[str, str | dict[str, str]] = {
        "code": reply.code,
        "message": reply.message,
        "request_id": f"%REQ({contract.REQUEST_ID_HEADER})%",
    }
    if reply.quota:
        error["quota"] = {key: _of_limit(key) for key in QUOTA}
    return ResponseMapper(
        filter=_all_of(_conditions(reply)),
        status_code=reply.answer,
        body_format_override=SubstitutionFormatString(
            json_format=Struct.from_dict({"error": error}), content_type="application/json"
        ),
    )


def _kept(flags: tuple[str, ...]) -> ResponseMapper:
    return ResponseMapper(
        filter=_flagged(flags),
        body_format_override=SubstitutionFormatString(
            text_format_source=DataSource(inline_string="%LOCAL_REPLY_BODY%"), content_type="application/json"
        ),
    )


def _conditions(reply: Reply) -> Iterable[AccessLogFilter]:
    if reply.status is not None:
        yield _status(ComparisonFilterOp.EQ, reply.status)
    if reply.at_least is not None:
        yield _status(ComparisonFilterOp.GE, reply.at_least)
    if reply.flags:
        yield _flagged(reply.flags)
    if reply.expression is not None:
        yield _holds(reply.expression)
    if reply.limit_kind is not None:
        yield _limit_kind(reply.limit_kind)


def _all_of(conditions: Iterable[AccessLogFilter]) -> AccessLogFilter:
    filters = list(conditions)
    return filters[0] if len(filters) == 1 else AccessLogFilter(and_filter=AndFilter(filters=filters))


def _status(op: ComparisonFilterOp, status: int) -> AccessLogFilter:
    value = RuntimeUInt32(default_value=status, runtime_key="tollgate.local_reply")
    return AccessLogFilter(status_code_filter=StatusCodeFilter(comparison=ComparisonFilter(op=op, value=value)))


def _holds(expression: str) -> AccessLogFilter:
    cel = Any.pack(ExpressionFilter(expression=expression))
    return AccessLogFilter(
        extension_filter=ExtensionFilter(name="envoy.access_loggers.extension_filters.cel", typed_config=cel)
    )


def _flagged(flags: tuple[str, ...]) -> AccessLogFilter:
    return AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=list(flags)))


def _limit_kind(kind: str) -> AccessLogFilter:
    matcher = MetadataMatcher(
        filter=contract.LIMIT_NAMESPACE,
        path=[MetadataMatcherPathSegment(key=contract.LIMIT_KIND)],
        value=ValueMatcher(string_match=StringMatcher(exact=kind)),
    )
    return AccessLogFilter(metadata_filter=MetadataFilter(matcher=matcher, match_if_key_not_found=False))
