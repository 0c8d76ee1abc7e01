"""The end of a call: what it held is put to what it came to, and what did not add up is told.

Nobody waits for the answer. A call that was refused held nothing; a settlement that is lost is found later, among the
holds whose lease is over (ratelimit_service.unsettled).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from ratelimit_service.applying import Applying, Unknown, applying, claim, missing, with_model
from ratelimit_service.claims import Claim, Settled
from ratelimit_service.cost import FREE, HELD, Charges, charged
from ratelimit_service.descriptors import Ask, End
from ratelimit_service.policy import LimitPolicy
from ratelimit_service.scripts import StoreUnavailable
from service_kit.contract import NUMBER_STATUS, USAGE_USD

FIRST_ERROR: Final = 400
NOTHING_KNOWN: Final = Charges()


class Holds(Protocol):
    """Where holds are settled."""

    async def settle(self, hold: str, claims: Sequence[Claim]) -> Settled: ...


class Ending(Enum):
    """What became of a settlement."""

    # By what the upstream reported.
    SETTLED = "settled"
    # By what passed.
    ESTIMATED = "estimated"
    # The call counts in nothing that is corrected, or was refused.
    NOT_HELD = "not_held"
    # A call that was served, and of whose hold the store knows nothing, or no longer.
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Settlement:
    """What became of a stream's end."""

    ending: Ending
    charges: Charges = NOTHING_KNOWN
    reason: str = ""


async def settle(end: End, policy: LimitPolicy, holds: Holds) -> Settlement:
    """Corrects what the call held."""
    found = applying(end, policy)
    if isinstance(found, Applying):
        end = with_model(end, found.route)
    charges = charged(end, found.route.prices_of(end.cluster) if isinstance(found, Applying) else None)
    try:
        settled = await holds.settle(end.hold, _claims(end, found, charges))
    except StoreUnavailable as error:
        return Settlement(Ending.UNAVAILABLE, charges, str(error))
    if not settled.known:
        return Settlement(Ending.UNKNOWN if _must_have_held(end, found) else Ending.NOT_HELD, charges)
    return Settlement(Ending.ESTIMATED if charges.estimated else Ending.SETTLED, charges)


def _must_have_held(end: End, found: Applying | Unknown) -> bool:
    """Whether a served call took something by the rules of now; one that is reported may not have fit."""
    if not 0 < end.numbers.get(NUMBER_STATUS, 0) < FIRST_ERROR:
        return False
    if isinstance(found, Unknown):
        return True
    held = {rule.usage for rule in found.rules if not rule.report} & HELD
    return bool(held - {USAGE_USD} if found.route.prices == FREE else held)


def _claims(end: End, found: Applying | Unknown, charges: Charges) -> list[Claim]:
    """What the call takes in the end, where that is known; what has no claim here stays as it was held.

    The rules are those of now: one that came since the call began is not among what it holds, and means nothing; one
    that went stays as it was held. So the store is asked even where no rule of now holds anything.
    """
    if isinstance(found, Unknown):
        return []
    amounts = ((rule, charges.amount(rule.usage)) for rule in found.rules if rule.usage in HELD)
    return [claim(rule, end, amount) for rule, amount in amounts if amount is not None and missing(rule, end) is None]


async def give_back(ask: Ask, policy: LimitPolicy, holds: Holds) -> None:
    """Ends a call that never was: it comes to nothing. StoreUnavailable leaves it to its lease."""
    found = applying(ask, policy)
    if isinstance(found, Unknown):
        await holds.settle(ask.hold or "", [])
        return
    ask = with_model(ask, found.route)
    counted = [rule for rule in found.rules if rule.usage in HELD and missing(rule, ask) is None]
    await holds.settle(ask.hold or "", [claim(rule, ask, 0) for rule in counted])
