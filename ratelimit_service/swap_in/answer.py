"""From a decided call to the message that Envoy reads."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from ratelimit_service.swap_in.decision import Applied, Standing, is_over_limit, nearest_to_limit
from ratelimit_service.swap_in.request import Ask, Descriptor
from ratelimit_service.swap_in.settings import Headers, SwapInSettings

OK: Final = rls_pb2.RateLimitResponse.OK
OVER_LIMIT: Final = rls_pb2.RateLimitResponse.OVER_LIMIT
# What an unlimited descriptor has left.
EVERYTHING: Final = 2**32 - 1

Metadata = Mapping[str, Any]  # Any: the operator's own YAML


def answer(ask: Ask, rows: Sequence[Applied], settings: SwapInSettings) -> rls_pb2.RateLimitResponse:
    """The response to a call whose counters have been counted."""
    is_over = is_over_limit(rows, all_are_quotas=settings.quota_mode) and not settings.shadow_mode
    response = rls_pb2.RateLimitResponse(overall_code=OVER_LIMIT if is_over else OK, statuses=map(_status, rows))
    nearest = nearest_to_limit(rows, all_are_quotas=settings.quota_mode)
    if settings.headers is not None and nearest is not None:
        response.response_headers_to_add.extend(_headers(settings.headers, nearest))
    if settings.response_metadata:
        response.dynamic_metadata.CopyFrom(_metadata(ask, rows))
    return response


def _status(row: Applied) -> rls_pb2.RateLimitResponse.DescriptorStatus:
    if row.is_unlimited:
        return rls_pb2.RateLimitResponse.DescriptorStatus(code=OK, limit_remaining=EVERYTHING)
    if row.standing is None:
        return rls_pb2.RateLimitResponse.DescriptorStatus(code=OK)
    limit = row.standing.limit
    return rls_pb2.RateLimitResponse.DescriptorStatus(
        code=OVER_LIMIT if row.is_refused else OK,
        current_limit=rls_pb2.RateLimitResponse.RateLimit(
            name=limit.name, requests_per_unit=limit.requests, unit=limit.unit.value
        ),
        limit_remaining=row.standing.remaining,
        duration_until_reset=Duration(seconds=row.standing.reset_seconds),
    )


def _headers(names: Headers, standing: Standing) -> Iterator[base_pb2.HeaderValue]:
    yield base_pb2.HeaderValue(key=names.limit, value=str(standing.limit.requests))
    yield base_pb2.HeaderValue(key=names.remaining, value=str(standing.remaining))
    yield base_pb2.HeaderValue(key=names.reset, value=str(standing.reset_seconds))


def _metadata(ask: Ask, rows: Sequence[Applied]) -> Struct:
    """What was asked, and the metadata of all rules that let it pass."""
    fields: dict[str, Any] = {  # Any: what a Struct takes
        "domain": ask.domain,
        "descriptors": [_described(descriptor) for descriptor in ask.descriptors],
    }
    if ask.hits_addend:
        fields["hitsAddend"] = ask.hits_addend
    passed: dict[str, Any] = {}  # Any: the operator's own YAML
    for row in rows:
        if row.standing is not None and row.match is not None and not row.is_refused:
            _merge(passed, row.match.rule.metadata)
    if passed:
        fields["metadata"] = passed
    found = Struct()
    found.update(fields)
    return found


def _described(descriptor: Descriptor) -> Metadata:
    described: dict[str, Any] = {"entries": [f"{key}={value}" for key, value in descriptor.entries]}  # Any: a Struct's
    if descriptor.override is not None:
        limit = descriptor.override
        described["limit"] = f"requests_per_unit:{limit.requests} unit:{limit.unit.name}"
    if descriptor.hits_addend is not None:
        described["hitsAddend"] = descriptor.hits_addend
    return described


def _merge(into: dict[str, Any], more: Metadata) -> None:  # Any: the operator's own YAML
    """Adds what is not there yet; mappings are merged, other values stay as the first rule has them."""
    for key, value in more.items():
        if isinstance(value, Mapping):
            inner = into.setdefault(key, {})
            if isinstance(inner, dict):
                _merge(inner, value)
        else:
            into.setdefault(key, value)
