"""When signing keys come and go: arithmetic alone, no clock.

A key is published before it signs, so that whoever verifies has it by then, and stays published until the last token
that it signed is dead.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from service_kit.gateway_tokens import LEEWAY, LONGEST_LIFETIME, SigningKey

# Seconds for which a key signs.
SIGNS_FOR: Final = 86_400
# Seconds for which it is published before; longer than anybody keeps the published set.
ANNOUNCED: Final = 3_600
# Seconds for which it is published after: clocks may differ, and an authorizer may hear late of the next one.
OUTLIVED: Final = LONGEST_LIFETIME + LEEWAY + 600

Ring = tuple[SigningKey, ...]
# A key that signs from this moment on.
Make = Callable[[int], SigningKey]


def turned(ring: Ring, now: float, make: Make) -> Ring:
    """The keys there are to be now, the oldest first; the same ones while nothing is due."""
    if not ring:
        return (make(int(now)),)
    kept = (*_needed(ring, now),)
    newest = kept[-1]
    if newest.signs_from <= now and now >= newest.signs_from + SIGNS_FOR - ANNOUNCED:
        return (*kept, make(max(newest.signs_from + SIGNS_FOR, int(now) + ANNOUNCED)))
    return kept


def replaced(now: float, make: Make) -> Ring:
    """One new key in place of all, at once: somebody else may have seen them."""
    return (make(int(now)),)


def _needed(ring: Ring, now: float) -> Iterator[SigningKey]:
    in_order = sorted(ring, key=lambda key: (key.signs_from, key.id))
    for key, successor in pairwise(in_order):
        if now < successor.signs_from + OUTLIVED:
            yield key
    yield in_order[-1]
