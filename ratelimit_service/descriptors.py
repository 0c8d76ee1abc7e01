"""What a rate-limit call asks or tells, read from the bytes that Envoy sends.

The control plane compiles two shapes of call (service_kit.contract). When a request comes: route and identity, then
perhaps the client's address, the id of a hold, and numbers. When a stream ends: the hold's id with route and identity,
perhaps the address and who was asked, and numbers. Whatever else arrives is refused, never ignored: an entry that is
skipped is a limit that nobody counts. Numbers may be missing, since Envoy drops what it cannot read; who needs one
finds it missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from service_kit.contract import (
    DESCRIPTOR_CLUSTER,
    DESCRIPTOR_DONE,
    DESCRIPTOR_HOLD,
    DESCRIPTOR_IDENTITY,
    DESCRIPTOR_IP,
    DESCRIPTOR_NUMBER,
    DESCRIPTOR_ROUTE,
    MISSING,
    NUMBER_STATUS,
    NUMBERS_ASKED,
    NUMBERS_DONE,
    RATELIMIT_DOMAIN,
)

# The keys of the first descriptor of each call, of those that may follow one, and of a number.
ASKED: Final = (DESCRIPTOR_ROUTE, *DESCRIPTOR_IDENTITY)
DONE: Final = (DESCRIPTOR_DONE, *ASKED)
ADDRESS: Final = (DESCRIPTOR_IP,)
CLUSTER: Final = (DESCRIPTOR_CLUSTER,)
HOLD: Final = (DESCRIPTOR_HOLD,)
NUMBER: Final = (DESCRIPTOR_NUMBER,)
# Characters; a request's id and a time.
LONGEST_HOLD: Final = 128

# A host has a whole /64 of IPv6 to call from.
HOST_BITS: Final = 64
# What Envoy sends at most.
LARGEST_NUMBER: Final = 1_000_000_000

Descriptor: TypeAlias = ratelimit_pb2.RateLimitDescriptor
Entry: TypeAlias = ratelimit_pb2.RateLimitDescriptor.Entry
Numbers = Mapping[str, int]


@dataclass(frozen=True)
class Caller:
    """Who called what; an identity part that the request lacks is None, as is an address that nobody asked for."""

    route: str
    subject: str | None
    tenant: str | None
    consumer: str | None
    plan: str | None
    ip: str | None = field(default=None, kw_only=True)
    # Of a language model; no call says it, but the policy of the route.
    model: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Ask(Caller):
    """One call to decide."""

    hits: int = 1
    # The id of what it may hold until its stream ends.
    hold: str | None = None
    numbers: Numbers = field(default_factory=dict)

    @property
    def descriptors(self) -> int:
        """How many descriptors the call had: Envoy wants a status for each."""
        return 1 + (self.ip is not None) + (self.hold is not None) + len(self.numbers)


@dataclass(frozen=True)
class End(Caller):
    """The end of a stream whose request could hold something."""

    hold: str = ""
    numbers: Numbers = field(default_factory=dict)
    # Who was asked last.
    cluster: str | None = None

    @property
    def descriptors(self) -> int:
        return 1 + (self.ip is not None) + (self.cluster is not None) + len(self.numbers)


@dataclass(frozen=True)
class Unreadable:
    """A call that is not of a shape that the control plane compiles; the reason names the first difference."""

    reason: str


class _OddError(Exception):
    """The first difference from the shapes of calls; seen by `read_call` alone."""


def read_call(raw: bytes) -> Ask | End | Unreadable:
    """What a serialized RateLimitRequest asks or tells."""
    request = rls_pb2.RateLimitRequest()
    try:
        request.ParseFromString(raw)
        _check_request(request)
        first, *others = request.descriptors
        return _end(first, others) if _keys(first)[:1] == DONE[:1] else _ask(request, first, others)
    except DecodeError:
        return Unreadable("not a RateLimitRequest")
    except _OddError as difference:
        return Unreadable(str(difference))


def _check_request(request: rls_pb2.RateLimitRequest) -> None:
    if request.domain != RATELIMIT_DOMAIN:
        raise _OddError(f"domain {request.domain!r} is not {RATELIMIT_DOMAIN!r}")
    if len(UnknownFieldSet(request)):
        raise _OddError("the request has a field that this service does not know")
    if not request.descriptors:
        raise _OddError("0 descriptors: one with the route and identity is needed")
    for descriptor in request.descriptors:
        if not all(entry.value for entry in descriptor.entries):
            raise _OddError("an entry has an empty value")
        if descriptor.HasField("limit"):
            raise _OddError("a descriptor brings its own limit, which no route compiles")
        # is_negative_hits, for one, is newer than the generated code and would turn a call into a refund.
        if len(UnknownFieldSet(descriptor)):
            raise _OddError("a descriptor has a field that this service does not know")


def _ask(request: rls_pb2.RateLimitRequest, first: Descriptor, others: list[Descriptor]) -> Ask:
    _check_keys(first, ASKED)
    address = _next(others, ADDRESS)
    hold = _next(others, HOLD)
    counted = [first, *filter(None, (address, hold if hold is not None and hold.HasField("hits_addend") else None))]
    # 0 is the protocol's way to say one.
    hits = _hits(request.hits_addend, counted) or 1
    return Ask(
        *_identity(first.entries),
        ip=_network(address),
        hits=hits,
        hold=None if hold is None else _hold(hold.entries[0].value),
        numbers=_numbers(others, () if hold is None else NUMBERS_ASKED),
    )


def _end(first: Descriptor, others: list[Descriptor]) -> End:
    _check_keys(first, DONE)
    if first.hits_addend.value:
        raise _OddError("the end of a stream has hits of its own")
    address, cluster = _next(others, ADDRESS), _next(others, CLUSTER)
    numbers = _numbers(others, NUMBERS_DONE)
    # Bytes may be more than Envoy sends as a number, and a place is given back all the same; a status never is.
    if numbers and NUMBER_STATUS not in numbers:
        raise _OddError(f"the end of a stream has no number {NUMBER_STATUS}")
    return End(
        *_identity(first.entries[1:]),
        ip=_network(address),
        hold=_hold(first.entries[0].value),
        numbers=numbers,
        cluster=None if cluster is None else cluster.entries[0].value,
    )


def _keys(descriptor: Descriptor) -> tuple[str, ...]:
    return tuple(entry.key for entry in descriptor.entries)


def _check_keys(descriptor: Descriptor, keys: tuple[str, ...]) -> None:
    if (found := _keys(descriptor)) != keys:
        raise _OddError(f"a descriptor has the entries {', '.join(found) or 'none'}; expected {', '.join(keys)}")


def _next(descriptors: list[Descriptor], keys: tuple[str, ...]) -> Descriptor | None:
    """The next descriptor, taken from the list, if it is of this kind."""
    return descriptors.pop(0) if descriptors and _keys(descriptors[0]) == keys else None


def _hits(of_request: int, descriptors: Iterable[Descriptor]) -> int:
    """A call costs one number: of the request, or the same of each descriptor."""
    costs: set[int | None] = {item.hits_addend.value if item.HasField("hits_addend") else None for item in descriptors}
    if costs == {None}:
        return of_request
    if of_request or len(costs) > 1 or 0 in costs:
        raise _OddError("the descriptors do not bring one and the same number of hits")
    return next(filter(None, costs))


def _identity(entries: Iterable[Entry]) -> tuple[str, str | None, str | None, str | None, str | None]:
    route, subject, tenant, consumer, plan = (None if entry.value == MISSING else entry.value for entry in entries)
    if route is None:
        raise _OddError("the route is missing")
    return route, subject, tenant, consumer, plan


def _network(address: Descriptor | None) -> str | None:
    """What an address counts as: IPv4 alone, however it is written, and IPv6 by its /64."""
    if address is None:
        return None
    try:
        found = ip_address(address.entries[0].value)
    except ValueError:
        raise _OddError("the address is none") from None
    whole = found if isinstance(found, IPv4Address) else found.ipv4_mapped
    if whole is not None:
        return f"{whole}/32"
    return f"{IPv6Address(int(found) >> HOST_BITS << HOST_BITS)}/{HOST_BITS}"


def _hold(name: str) -> str:
    if name == MISSING or len(name) > LONGEST_HOLD:
        raise _OddError("the id of the hold is missing or too long")
    return name


def _numbers(descriptors: Iterable[Descriptor], names: Sequence[str]) -> Numbers:
    """The numbers by their names, which come in this order; one that is not there has no entry."""
    found: dict[str, int] = {}
    expected = iter(names)
    for descriptor in descriptors:
        _check_keys(descriptor, NUMBER)
        name = descriptor.entries[0].value
        if name not in expected:  # looks from where the last one was found
            raise _OddError(f"the number {name!r} is not expected here: {', '.join(names) or 'none'}, in this order")
        if not descriptor.HasField("hits_addend") or descriptor.hits_addend.value > LARGEST_NUMBER:
            raise _OddError(f"the number {name!r} is not from 0 to {LARGEST_NUMBER}")
        found[name] = descriptor.hits_addend.value
    return found
