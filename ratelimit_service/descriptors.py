"""What a rate-limit call asks, read from the bytes that Envoy sends.

The control plane compiles exactly one shape of call (service_kit.contract): descriptor 0 with route and identity, and
perhaps one with the client's address. Whatever else arrives is refused, never ignored: an entry that is skipped is a
limit that nobody counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from service_kit.contract import DESCRIPTOR_IDENTITY, DESCRIPTOR_IP, DESCRIPTOR_ROUTE, MISSING, RATELIMIT_DOMAIN

# The keys of the first descriptor, and of the one that may follow.
SHAPE: Final = ((DESCRIPTOR_ROUTE, *DESCRIPTOR_IDENTITY), (DESCRIPTOR_IP,))


@dataclass(frozen=True)
class Ask:
    """One call to decide; an identity part that the request lacks is None, as is the address where none was sent."""

    route: str
    subject: str | None
    tenant: str | None
    consumer: str | None
    plan: str | None
    ip: str | None = None
    hits: int = 1

    @property
    def descriptors(self) -> int:
        """How many descriptors the call had: Envoy wants a status for each."""
        return 1 if self.ip is None else 2


@dataclass(frozen=True)
class Unreadable:
    """A call that is not of the shape the control plane compiles; the reason names the first difference."""

    reason: str


def read_ask(raw: bytes) -> Ask | Unreadable:
    """The question in a serialized RateLimitRequest."""
    request = rls_pb2.RateLimitRequest()
    try:
        request.ParseFromString(raw)
    except DecodeError:
        return Unreadable("not a RateLimitRequest")
    reason = _request_fault(request) or _descriptors_fault(request.descriptors) or _hits_fault(request)
    return Unreadable(reason) if reason else _ask(request)


def _request_fault(request: rls_pb2.RateLimitRequest) -> str | None:
    if request.domain != RATELIMIT_DOMAIN:
        return f"domain {request.domain!r} is not {RATELIMIT_DOMAIN!r}"
    if len(UnknownFieldSet(request)):
        return "the request has a field that this service does not know"
    if not 1 <= len(request.descriptors) <= len(SHAPE):
        return f"{len(request.descriptors)} descriptors: one with the route and identity is needed, one may follow"
    return None


def _descriptors_fault(descriptors: Iterable[ratelimit_pb2.RateLimitDescriptor]) -> str | None:
    for descriptor, keys in zip(descriptors, SHAPE, strict=False):
        if fault := _descriptor_fault(descriptor, keys):
            return fault
    return None


def _descriptor_fault(descriptor: ratelimit_pb2.RateLimitDescriptor, keys: tuple[str, ...]) -> str | None:
    found = tuple(entry.key for entry in descriptor.entries)
    if found != keys:
        return f"a descriptor has the entries {', '.join(found) or 'none'}; expected {', '.join(keys)}"
    if not all(entry.value for entry in descriptor.entries):
        return "an entry has an empty value"
    if descriptor.HasField("limit"):
        return "a descriptor brings its own limit, which no route compiles"
    # is_negative_hits, for one, is newer than the generated code and would turn a call into a refund.
    if len(UnknownFieldSet(descriptor)):
        return "a descriptor has a field that this service does not know"
    return None


def _hits_fault(request: rls_pb2.RateLimitRequest) -> str | None:
    """A call costs one number: of the request, or the same of each descriptor."""
    if not any(descriptor.HasField("hits_addend") for descriptor in request.descriptors):
        return None
    costs = {descriptor.hits_addend.value for descriptor in request.descriptors}
    if request.hits_addend or len(costs) > 1 or 0 in costs:
        return "the descriptors do not bring one and the same number of hits"
    return None


def _ask(request: rls_pb2.RateLimitRequest) -> Ask | Unreadable:
    route, *identity = (entry.value for entry in request.descriptors[0].entries)
    if route == MISSING:
        return Unreadable("the route is missing")
    subject, tenant, consumer, plan = (None if value == MISSING else value for value in identity)
    ip = request.descriptors[1].entries[0].value if len(request.descriptors) > 1 else None
    # 0 is the protocol's way to say one.
    hits = request.descriptors[0].hits_addend.value or request.hits_addend or 1
    return Ask(route, subject, tenant, consumer, plan, ip=ip, hits=hits)
