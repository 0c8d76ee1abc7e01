"""Errors that Envoy makes by itself, in the one shape of this gateway. The first mapper that fits decides.

Answers of upstreams are never touched; answers of our services are kept where they are already in that shape.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain

from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
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

from control_plane.ir.model import Dialect
from control_plane.xds import names
from control_plane.xds.access_log import LONGEST_MODEL
from control_plane.xds.filters import body_rewrite, ip_list, profile_guard
from control_plane.xds.filters.llm import parameters, permission, strays
from control_plane.xds.filters.metering import guard
from control_plane.xds.filters.metering.demand import READ
from control_plane.xds.filters.metering.fields import MODEL, NAME
from control_plane.xds.packing import JsonValue
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


REQUEST_ID = f"%REQ({contract.REQUEST_ID_HEADER})%"
# What OpenAI calls errors of these statuses, and all others.
TYPES = {
    **dict.fromkeys((400, 404, 405, 408, 413, 431), "invalid_request_error"),
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
API_ERROR = "api_error"


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
    # The parameter that it is about, where errors name one.
    param: str | None = field(default=None, kw_only=True)
    # What Ollama itself says: programs look for its words.
    ollama: str | None = field(default=None, kw_only=True)


# The answer of a route. Names that the configuration gives hold no colon.
WRITTEN_ANSWER = "response.code_details == 'direct_response' && !xds.route_name.contains(':')"

# Whose errors a client understands, as its route says.
SPOKEN = f"xds.route_metadata.filter_metadata['{names.ROUTE_METADATA}'].{names.ROUTE_METADATA_DIALECT}"
# What may go wrong on the way from a model's call to an upstream.
BEHIND = (
    "upstream_timeout", "upstream_unreachable", "upstream_overloaded", "gateway_overloaded", "translator_unavailable",
    "payload_too_large", "headers_too_large", "error",
)  # fmt: skip
# What the translator answers itself.
TRANSLATED = "response.code_details == 'translator'"
ASKED_MODEL = f"%DYNAMIC_METADATA({contract.LLM_NAMESPACE}:{MODEL}):{LONGEST_MODEL}%"
# The one that was meant, also where the client names none.
FOUND_MODEL = f"%METADATA(ROUTE:{names.ROUTE_METADATA}:{names.ROUTE_METADATA_MODEL})%"
# By the one name or the other.
NAMED_MODEL = f"%CEL('{MODEL}' in {READ} ? {READ}.{MODEL} : {READ}.{NAME}):{LONGEST_MODEL}%"
NOT_FOUND_OF_OLLAMA = f"model '{NAMED_MODEL}' not found"
REFUSED_PARAMETER = f"%DYNAMIC_METADATA({contract.LLM_NAMESPACE}:{parameters.REFUSED})%"


def _denied_by(policy: str) -> str:
    return f"response.code_details.contains('[{policy}]')"


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
    Reply("model_missing", "The request names no model: say `model`, one of those that the gateway lists.", status=403,
          expression=_denied_by(strays.UNNAMED), answer=400, param=MODEL),
    Reply("model_not_found", f"There is no model {ASKED_MODEL} at this endpoint: ask for a list of those there are.",
          status=403, expression=_denied_by(strays.UNKNOWN), answer=404, param=MODEL, ollama=NOT_FOUND_OF_OLLAMA),
    Reply("model_not_allowed",
          f"You may not call the model {FOUND_MODEL}: ask the operator for a plan or a key that may.",
          status=403, expression=_denied_by(permission.POLICY), param=MODEL),
    Reply("unsupported_parameter", f"The model does not support the parameter {REFUSED_PARAMETER}: leave it out.",
          status=403, expression=_denied_by(guard.UNSUPPORTED), answer=400, param=REFUSED_PARAMETER),
    Reply("not_offered", "The models of this gateway are not for clients to change.", status=403,
          expression="xds.route_name.startsWith('not-offered:')"),
    Reply("model_not_found", "There is no such model, or none that you may see.", status=404,
          expression=f"response.code_details == 'direct_response' && {SPOKEN} != ''", param=MODEL,
          ollama=NOT_FOUND_OF_OLLAMA),
    Reply("method_not_allowed", "The path takes another method: the one that Allow names.", status=405),
    Reply("translator_unavailable", "The call cannot be translated for the upstream now: retry in a moment.",
          expression="response.code_details.startsWith('ext_proc_error')", answer=503),
    Reply("upstream_unreachable", "The upstream's credential is missing: give the operator the request id.",
          expression="response.code_details.contains('failed_to_inject_credential')", answer=502),
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
    Reply("bad_request", "The path holds an escaped slash or backslash.", status=400,
          expression=f"xds.route_name == '{names.ESCAPED_SLASH}'"),
    Reply("bad_request", "X-Forwarded-For holds something else than addresses.", status=400,
          expression=f"xds.route_name == '{names.ODD_CLIENT}'"),
    Reply("bad_request", "The request is malformed: %RESPONSE_CODE_DETAILS%.", status=400),
    Reply("error", "%LOCAL_REPLY_BODY%", at_least=400),
)  # fmt: skip


def local_reply_config(*, spoken: bool = False) -> LocalReplyConfig:
    """The mappers in order; denials of the authorizer keep the body it made, answers of routes the one written.

    `spoken`: where routes are of an API whose clients know other errors, these get theirs.
    """
    first, *others = ([*_mappers(reply, spoken=spoken)] for reply in REPLIES)
    written = ResponseMapper(filter=_holds(WRITTEN_ANSWER))
    return LocalReplyConfig(mappers=[*first, _kept(_flagged(("UAEX",))), written, *chain.from_iterable(others)])


@cache
def replies_behind(dialect: Dialect) -> http_connection_manager_pb.LocalReplyConfig:
    """The same for what is behind a variant of an upstream, whose clients speak this dialect.

    The translator answers there, too: it knows their errors itself.
    """
    known = (reply for reply in REPLIES if reply.code in BEHIND)
    mappers = [_mapper(reply, _all_of(_conditions(reply)), IN_DIALECT[dialect](reply)) for reply in known]
    config = LocalReplyConfig(mappers=[_kept(_holds(TRANSLATED)), *mappers])
    return http_connection_manager_pb.LocalReplyConfig.FromString(bytes(config))


def _mappers(reply: Reply, *, spoken: bool) -> Iterator[ResponseMapper]:
    conditions = list(_conditions(reply))
    for dialect in Dialect if spoken else ():
        body = IN_DIALECT[dialect](reply)
        yield _mapper(reply, _all_of([*conditions, _holds(f"{SPOKEN} == '{dialect.value}'")]), body)
    yield _mapper(reply, _all_of(conditions), {"error": _own(reply)})


def _mapper(reply: Reply, condition: AccessLogFilter, body: Mapping[str, JsonValue]) -> ResponseMapper:
    return ResponseMapper(
        filter=condition,
        status_code=reply.answer,
        body_format_override=SubstitutionFormatString(
            json_format=Struct.from_dict(dict(body)), content_type="application/json"
        ),
    )


def _own(reply: Reply) -> Mapping[str, JsonValue]:
    error: dict[str, JsonValue] = {"code": reply.code, "message": reply.message, "request_id": REQUEST_ID}
    if reply.quota:
        error["quota"] = {key: _of_limit(key) for key in QUOTA}
    return error


def _of_openai(reply: Reply) -> Mapping[str, JsonValue]:
    """With the two fields that OpenAI's clients look for."""
    status = reply.answer or reply.status
    kind = API_ERROR if status is None else TYPES.get(status, API_ERROR)
    return {"error": {**_own(reply), "type": kind, "param": reply.param}}


def _of_ollama(reply: Reply) -> Mapping[str, JsonValue]:
    return {"error": reply.ollama or reply.message}


IN_DIALECT: Mapping[Dialect, Callable[[Reply], Mapping[str, JsonValue]]] = {
    Dialect.OPENAI: _of_openai,
    Dialect.OLLAMA: _of_ollama,
}


def _kept(condition: AccessLogFilter) -> ResponseMapper:
    return ResponseMapper(
        filter=condition,
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
