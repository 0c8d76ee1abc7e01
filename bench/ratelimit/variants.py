"""What is compared, as data: services by the rules that they count, and the calls that they are sent."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.limits import (
    CONSUMER,
    ROUTE,
    SUBJECT,
    TENANT,
    asked,
    call,
    descriptor,
    done,
    identified,
    limit,
    limit_set,
    metering,
    quota,
)

# So much that nothing is refused.
PLENTY = 2**40
SUBJECTS = 100
# How a RateLimitResponse begins: its overall code.
ADMITTED, REFUSED = b"\x08\x01", b"\x08\x02"
# Bursts: calls, and tokens of calls that may come to so many.
BURST, BURST_TOKENS, BURST_OUTPUT = 100, 100_000, 1000
# A sustained load: calls in so many seconds.
SUSTAINED, SUSTAINED_PERIOD = 200, 5
DOMAIN = "bench"
SWAP_IN_RULES = f"""\
domain: {DOMAIN}
descriptors:
  - key: route
    value: email
    descriptors:
      - key: subject
        rate_limit: {{unit: minute, requests_per_unit: {2**31}}}
"""
PERS = ((SUBJECT,), (TENANT,), (CONSUMER,), (SUBJECT, ROUTE))
PERIODS = (60, 3600)
EIGHT = tuple(limit(PLENTY, period, *per) for period, per in itertools.product(PERIODS, PERS))
POLICIES: Mapping[str, bytes] = {
    "route/one": limit_set(*EIGHT[:1]),
    "route/four": limit_set(*EIGHT[:4]),
    "route/eight": limit_set(*EIGHT),
    "route/used-up": limit_set(limit(1, 3600, ROUTE)),
    "route/chat": limit_set(metering=metering(100_000, 300_000)),
    "plan/small": limit_set(quota("tokens", PLENTY, CONSUMER), quota("usd", PLENTY, CONSUMER)),
    "route/burst": limit_set(limit(BURST, 3600, SUBJECT)),
    "plan/burst": limit_set(quota("tokens", BURST_TOKENS, CONSUMER)),
    "route/sustained": limit_set(limit(SUSTAINED, SUSTAINED_PERIOD, SUBJECT)),
}

Identity = Mapping[str, Any]  # Any: keywords beside those of other types
# So many calls that nobody has made yet, told apart by a word.
Calls = Callable[[int, str], Sequence[bytes]]


@dataclass(frozen=True)
class Variant:
    """A kind of calls, and how their answers begin. Each is one decision, or one settlement."""

    name: str
    shows: str
    calls: Calls
    begins: bytes = ADMITTED
    # Which service: without a decision, the limiter, or in place of another.
    service: str = field(default="limits", kw_only=True)


def of_route(route: str) -> Calls:
    def made(count: int, _word: str) -> list[bytes]:
        kinds = [call(identified(route=route, subject=f"subject-{number}")) for number in range(SUBJECTS)]
        return list(itertools.islice(itertools.cycle(kinds), count))

    return made


def metered(count: int, word: str) -> list[bytes]:
    """As many beginnings as ends: a few calls are under way at a time."""

    def pairs() -> Iterator[bytes]:
        caller: Identity = {"route": "chat", "plan": "small"}
        for first in range(0, count, SUBJECTS):
            holds = [f"{word}.{number}" for number in range(first, first + SUBJECTS)]
            yield from (call(*asked(hold, output=100, received=200, **caller)) for hold in holds)
            yield from (call(*done(hold, prompt=50, output=80, received=200, held=100, **caller)) for hold in holds)

    return list(itertools.islice(pairs(), count))


def swapped_in(count: int, _word: str) -> list[bytes]:
    kinds = [
        call(descriptor(("route", "email"), ("subject", f"subject-{number}")), domain=DOMAIN)
        for number in range(SUBJECTS)
    ]
    return list(itertools.islice(itertools.cycle(kinds), count))


BASELINE = "empty"
VARIANTS = (
    Variant(
        BASELINE, "a `grpc.aio` handler that answers the bytes of `1 rule`, unread", of_route("one"), service="empty"
    ),
    Variant("1 rule", "one sliding window", of_route("one")),
    Variant("4 rules", "four sliding windows in one step", of_route("four")),
    Variant("8 rules", "eight sliding windows in one step", of_route("eight")),
    Variant(
        "hold and settle",
        "a call that holds tokens and dollars of two quotas, and its settlement, each for itself",
        metered,
    ),
    Variant("used up", "a limit that has nothing left, which is remembered for a second", of_route("used-up"), REFUSED),
    Variant(
        "swap-in",
        "`--config`: one rule in envoyproxy/ratelimit's format, a fixed window",
        swapped_in,
        service="swap-in",
    ),
)
