"""From a decision to what Envoy reads: the one ladder, its headers and its words.

A refusal by a limit is an answer (OVER_LIMIT); whatever cannot be decided is a gRPC error, which Envoy, told to deny on
failure, turns into 503. The JSON body is Envoy's work: it is made from the metadata set here, with the request id.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.ratelimit.v3 import rls_pb2

from ratelimit_service.descriptors import Ask
from ratelimit_service.limiter import Admitted, Decision, Refused, Standing, Unavailable, Unidentified, Unknown
from ratelimit_service.policy import Dimension, Rule
from service_kit.contract import LIMIT_KIND, LIMIT_MESSAGE, LIMIT_REMAINING, LIMIT_RULE

KIND_LIMIT: Final = "limit"
OK: Final = rls_pb2.RateLimitResponse.OK
OVER_LIMIT: Final = rls_pb2.RateLimitResponse.OVER_LIMIT

PERIOD_WORDS: Final = MappingProxyType({1: "second", 60: "minute", 3600: "hour", 86400: "day"})
DIMENSION_WORDS: Final = MappingProxyType({Dimension.IP: "address"})


@dataclass(frozen=True)
class Failure:
    """A call without an answer: its gRPC status."""

    code: grpc.StatusCode
    details: str


def answer(ask: Ask, decision: Decision) -> bytes | Failure:
    """A serialized RateLimitResponse, or the status of a call that cannot be decided."""
    match decision:
        case Admitted(tightest):
            return _admission(ask, tightest)
        case Refused(tightest, longest):
            return _refusal(ask, tightest, longest)
        case Unidentified(rule, dimension):
            details = f"rule {rule.id} counts per {dimension.value}, which the call does not carry"
            return Failure(grpc.StatusCode.INVALID_ARGUMENT, details)
        case Unknown(kind, name):
            details = f"no limits are known for {kind} {name!r}: the control plane has not sent them yet"
            return Failure(grpc.StatusCode.UNAVAILABLE, details)
        case Unavailable(reason):
            return Failure(grpc.StatusCode.UNAVAILABLE, f"the counter store did not answer: {reason}")


def refusal_message(standing: Standing, hits: int = 1) -> str:
    """What happened and what to do next."""
    rule = standing.rule
    requests = "1 request" if rule.requests == 1 else f"{rule.requests} requests"
    period = PERIOD_WORDS.get(rule.period_seconds, f"{rule.period_seconds} seconds")
    found = "is used up" if hits == 1 else f"has {standing.remaining} left, and this call counts as {hits}"
    return (
        f"The limit of {requests} per {period} for {_counted_apart(rule)} {found}: "
        f"retry in {standing.retry_seconds} s (rule {rule.id})."
    )


def _counted_apart(rule: Rule) -> str:
    return " and ".join(f"this {DIMENSION_WORDS.get(dimension, dimension.value)}" for dimension in rule.per)


def _admission(ask: Ask, tightest: Standing | None) -> bytes:
    response = _response(ask, OK)
    if tightest is not None:
        response.response_headers_to_add.extend(_limit_headers(tightest))
    return _serialized(response)


def _refusal(ask: Ask, tightest: Standing, longest: Standing) -> bytes:
    response = _response(ask, OVER_LIMIT)
    response.response_headers_to_add.extend(_limit_headers(tightest))
    response.response_headers_to_add.append(_header("retry-after", longest.retry_seconds))
    response.dynamic_metadata.update(
        {
            LIMIT_KIND: KIND_LIMIT,
            LIMIT_RULE: longest.rule.id,
            LIMIT_REMAINING: longest.remaining,
            LIMIT_MESSAGE: refusal_message(longest, ask.hits),
        }
    )
    return _serialized(response)


def _serialized(response: rls_pb2.RateLimitResponse) -> bytes:
    raw: bytes = response.SerializeToString()
    return raw


def _response(ask: Ask, code: rls_pb2.RateLimitResponse.Code) -> rls_pb2.RateLimitResponse:
    status = rls_pb2.RateLimitResponse.DescriptorStatus(code=code)
    return rls_pb2.RateLimitResponse(overall_code=code, statuses=[status] * ask.descriptors)


def _limit_headers(standing: Standing) -> Iterator[base_pb2.HeaderValue]:
    """draft-ietf-httpapi-ratelimit-headers-03; Retry-After is never earlier than RateLimit-Reset (section 3.3)."""
    rule = standing.rule
    yield _header("ratelimit-limit", rule.requests)
    yield _header("ratelimit-remaining", standing.remaining)
    yield _header("ratelimit-reset", standing.reset_seconds)
    yield _header("ratelimit-policy", f"{rule.requests};w={rule.period_seconds}")


def _header(key: str, value: int | str) -> "base_pb2.HeaderValue":
    return base_pb2.HeaderValue(key=key, value=str(value))
