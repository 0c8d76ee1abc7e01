"""From a decision to what Envoy reads: the one ladder, its headers and its metadata.

A refusal that the caller can do something about is an answer (OVER_LIMIT); whatever cannot be decided is a gRPC error,
which Envoy, told to deny on failure, turns into 503. Status and JSON body are Envoy's work: it makes them from the kind
and the message in the metadata set here, with the request id.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.ratelimit.v3 import rls_pb2

from ratelimit_service.applying import Unknown, window_name
from ratelimit_service.cost import Missing
from ratelimit_service.descriptors import Ask, End
from ratelimit_service.limiter import (
    Admitted,
    Decision,
    Refused,
    Repeated,
    Standing,
    TooDear,
    Unavailable,
    Unheld,
    Unidentified,
)
from ratelimit_service.policy import CONCURRENT, Dimension
from ratelimit_service.words import (
    missing_message,
    refusal_message,
    rfc3339,
    shown,
    too_dear_message,
    unidentified_message,
)
from service_kit.contract import (
    KIND_CALLER,
    KIND_LIMIT,
    KIND_QUOTA,
    KIND_REQUEST,
    LIMIT_HELD,
    LIMIT_KIND,
    LIMIT_LIMIT,
    LIMIT_MESSAGE,
    LIMIT_REMAINING,
    LIMIT_RESETS_AT,
    LIMIT_RULE,
    LIMIT_USAGE,
    LIMIT_USED,
    LIMIT_WINDOW,
    LIMIT_WOULD_REFUSE,
    USAGE_REQUESTS,
    USAGE_USD,
)
from service_kit.metering import dollars

OK: Final = rls_pb2.RateLimitResponse.OK
OVER_LIMIT: Final = rls_pb2.RateLimitResponse.OVER_LIMIT
QUOTA_WARNING: Final = "quota-warning"
# A call may end at any moment, and nobody knows when.
RETRY_CONCURRENT: Final = 1

Metadata = Mapping[str, str | float]


@dataclass(frozen=True)
class Failure:
    """A call without an answer: its gRPC status."""

    code: grpc.StatusCode
    details: str


def answer(ask: Ask, decision: Decision) -> bytes | Failure:
    """A serialized RateLimitResponse, or the status of a call that cannot be decided."""
    match decision:
        case Admitted():
            return _admission(ask, decision)
        case Refused():
            return _refusal(ask, decision)
        case TooDear(rule, limit):
            more: Metadata = {LIMIT_RULE: rule.id, LIMIT_USAGE: rule.usage, LIMIT_LIMIT: shown(limit, rule.usage)}
            return _denial(ask, KIND_REQUEST, too_dear_message(decision), more)
        case Missing():
            return _denial(ask, KIND_REQUEST, missing_message(decision), {})
        case Unidentified(rule, dimension) if dimension is not Dimension.IP:
            return _denial(ask, KIND_CALLER, unidentified_message(decision), {LIMIT_RULE: rule.id})
        case _:
            return _failure(decision)


def acknowledgement(end: End) -> bytes:
    """The answer to the end of a stream, of which nobody makes anything."""
    return _serialized(_response(end, OK))


def _failure(decision: Unidentified | Unheld | Repeated | Unknown | Unavailable) -> Failure:
    match decision:
        case Unidentified(rule, dimension):
            details = f"rule {rule.id} counts per {dimension.value}, which the call does not carry"
            return Failure(grpc.StatusCode.INVALID_ARGUMENT, details)
        case Unheld(route):
            details = f"a rule corrects what it counts when the stream ends, and calls of route {route!r} bring no hold"
            return Failure(grpc.StatusCode.INVALID_ARGUMENT, details)
        case Repeated(hold):
            return Failure(grpc.StatusCode.ALREADY_EXISTS, f"a call under way has the id {hold!r}")
        case Unknown(kind, name):
            details = f"no limits are known for {kind} {name!r}: the control plane has not sent them yet"
            return Failure(grpc.StatusCode.UNAVAILABLE, details)
        case Unavailable(reason):
            return Failure(grpc.StatusCode.UNAVAILABLE, f"the counter store did not answer: {reason}")


def _admission(ask: Ask, decision: Admitted) -> bytes:
    response = _response(ask, OK)
    if decision.tightest is not None:
        response.response_headers_to_add.extend(_limit_headers(decision.tightest))
    response.response_headers_to_add.extend(_model_headers(decision.of_model))
    response.response_headers_to_add.extend(_header(QUOTA_WARNING, _warning(item)) for item in decision.warnings)
    if decision.would_refuse:
        response.dynamic_metadata.update({LIMIT_WOULD_REFUSE: ",".join(rule.id for rule in decision.would_refuse)})
    if decision.output is not None:
        response.dynamic_metadata.update({LIMIT_HELD: decision.output})
    return _serialized(response)


def _refusal(ask: Ask, refused: Refused) -> bytes:
    response = _over(ask)
    if refused.tightest is not None:
        response.response_headers_to_add.extend(_limit_headers(refused.tightest))
    response.response_headers_to_add.extend(_model_headers(refused.of_model))
    longest = refused.longest
    retry = RETRY_CONCURRENT if longest.rule.usage == CONCURRENT else longest.retry_seconds
    response.response_headers_to_add.append(_header("retry-after", retry))
    response.dynamic_metadata.update(
        {
            LIMIT_KIND: KIND_QUOTA if longest.rule.is_quota else KIND_LIMIT,
            LIMIT_RULE: longest.rule.id,
            LIMIT_REMAINING: shown(longest.remaining, longest.rule.usage),
            LIMIT_MESSAGE: refusal_message(refused),
            **(_spent(longest) if longest.rule.is_quota else {}),
        }
    )
    return _serialized(response)


def _denial(ask: Ask, kind: str, message: str, more: Metadata) -> bytes:
    """Of a call that passes at no time as it is: nothing says when to retry."""
    response = _over(ask)
    response.dynamic_metadata.update({LIMIT_KIND: kind, LIMIT_MESSAGE: message, **more})
    return _serialized(response)


def _spent(standing: Standing) -> Metadata:
    """What the typed body of a 402 says."""
    rule = standing.rule
    return {
        LIMIT_USAGE: rule.usage,
        LIMIT_USED: shown(standing.used, rule.usage),
        LIMIT_LIMIT: shown(standing.limit, rule.usage),
        LIMIT_WINDOW: window_name(rule),
        LIMIT_RESETS_AT: rfc3339(standing.resets_at),
    }


def _warning(standing: Standing) -> str:
    used, limit = (
        dollars(amount) if standing.rule.usage == USAGE_USD else amount for amount in (standing.used, standing.limit)
    )
    return f"{standing.rule.id}; used={used}; limit={limit}; resets={rfc3339(standing.resets_at)}"


def _serialized(response: rls_pb2.RateLimitResponse) -> bytes:
    raw: bytes = response.SerializeToString()
    return raw


def _over(ask: Ask) -> rls_pb2.RateLimitResponse:
    """A refusal. The end of its stream says what was held, too, and Envoy complains of a number that is not there."""
    response = _response(ask, OVER_LIMIT)
    if ask.numbers:
        response.dynamic_metadata.update({LIMIT_HELD: 0})
    return response


def _response(call: Ask | End, code: rls_pb2.RateLimitResponse.Code) -> rls_pb2.RateLimitResponse:
    status = rls_pb2.RateLimitResponse.DescriptorStatus(code=code)
    return rls_pb2.RateLimitResponse(overall_code=code, statuses=[status] * call.descriptors)


def _limit_headers(standing: Standing) -> Iterator[base_pb2.HeaderValue]:
    """As draft-ietf-httpapi-ratelimit-headers-03 has them."""
    rule = standing.rule
    yield _header("ratelimit-limit", standing.limit)
    yield _header("ratelimit-remaining", standing.remaining)
    yield _header("ratelimit-reset", standing.reset_seconds)
    unit = "" if rule.usage == USAGE_REQUESTS else f";unit={rule.usage}"
    yield _header("ratelimit-policy", f"{standing.limit};w={window_name(rule)}{unit}")


def _model_headers(standings: Iterable[Standing]) -> Iterator[base_pb2.HeaderValue]:
    """As clients of OpenAI's API read them."""
    for standing in standings:
        usage = standing.rule.usage
        yield _header(f"x-ratelimit-limit-{usage}", standing.limit)
        yield _header(f"x-ratelimit-remaining-{usage}", standing.remaining)
        yield _header(f"x-ratelimit-reset-{usage}", f"{standing.reset_seconds}s")


def _header(key: str, value: int | str) -> "base_pb2.HeaderValue":
    return base_pb2.HeaderValue(key=key, value=str(value))
