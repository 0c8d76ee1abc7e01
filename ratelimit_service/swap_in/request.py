"""What a call asks, read from the bytes that an Envoy sends.

Every number is settled here: hits of the descriptor, else of the request, else one. What is negative gives back, which
is a field of the protocol that is newer than the generated code.
"""

from dataclasses import dataclass
from typing import Final

from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.unknown_fields import UnknownFieldSet

from ratelimit_service.swap_in.rules import Limit, Unit

# RateLimitDescriptor.is_negative_hits
NEGATIVE_HITS: Final = 4
# More than any limit, and less than what the store's numbers hold exactly.
MOST_HITS: Final = 2**40
UNITS: Final = {unit.value: unit for unit in Unit}


@dataclass(frozen=True)
class Descriptor:
    """One descriptor: its entries, a limit that it brings itself, and its hits, below zero where it gives back."""

    entries: tuple[tuple[str, str], ...]
    hits: int = 1
    override: Limit | None = None
    # The number that the descriptor itself brought.
    hits_addend: int | None = None


@dataclass(frozen=True)
class Ask:
    """One call to decide."""

    domain: str
    descriptors: tuple[Descriptor, ...]
    # The number that the request itself brought, 0 where it brought none.
    hits_addend: int = 0


class UnusableRequest(Exception):  # noqa: N818 - what the call is, not a kind of error
    """A call that nobody can answer; the message names the cure."""


def read_ask(request: rls_pb2.RateLimitRequest) -> Ask:
    """The question of a request; UnusableRequest where there is none."""
    if not request.domain:
        raise UnusableRequest("the request has no domain: set it in Envoy's rate limit filter")
    if not request.descriptors:
        raise UnusableRequest("the request has no descriptors: Envoy's route needs rate limit actions")
    of_request = max(1, request.hits_addend)
    descriptors = tuple(_descriptor(descriptor, of_request) for descriptor in request.descriptors)
    return Ask(request.domain, descriptors, request.hits_addend)


def _descriptor(descriptor: ratelimit_pb2.RateLimitDescriptor, of_request: int) -> Descriptor:
    hits_addend = descriptor.hits_addend.value if descriptor.HasField("hits_addend") else None
    hits = min(of_request if hits_addend is None else hits_addend, MOST_HITS)
    return Descriptor(
        entries=tuple((entry.key, entry.value) for entry in descriptor.entries),
        hits=-hits if _gives_back(descriptor) else hits,
        override=_override(descriptor),
        hits_addend=hits_addend,
    )


def _gives_back(descriptor: ratelimit_pb2.RateLimitDescriptor) -> bool:
    if "is_negative_hits" in descriptor.DESCRIPTOR.fields_by_name:
        return bool(descriptor.is_negative_hits)
    return _unknown_fields(descriptor).get(NEGATIVE_HITS, 0) != 0


def _unknown_fields(descriptor: ratelimit_pb2.RateLimitDescriptor) -> dict[int, int]:
    found = UnknownFieldSet(descriptor)
    return {found[at].field_number: found[at].data for at in range(len(found))}


def _override(descriptor: ratelimit_pb2.RateLimitDescriptor) -> Limit | None:
    if not descriptor.HasField("limit"):
        return None
    unit = UNITS.get(descriptor.limit.unit)
    if unit is None:
        raise UnusableRequest(f"a descriptor brings a limit with the unit {descriptor.limit.unit}, which is none")
    return Limit(descriptor.limit.requests_per_unit, unit)
