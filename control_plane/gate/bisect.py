"""Which of many suspects are at fault, by asking about fewer and fewer of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")
# Whether these are refused together, and why; None where they are accepted.
Ask = Callable[[Sequence[T]], Awaitable[str | None]]

MOST_QUESTIONS: Final = 64
HALVES: Final = 2


class _Inquiry(Generic[T]):
    """Counts the questions that are left."""

    def __init__(self, ask: Ask[T], most: int) -> None:
        self._ask = ask
        self._left = most

    async def culprits(self, suspects: Sequence[T], reason: str) -> dict[T, str]:
        """Of suspects that are refused together for this reason."""
        if len(suspects) == 1 or self._left < HALVES:
            return dict.fromkeys(suspects, reason)
        self._left -= HALVES
        middle = len(suspects) // 2
        found: dict[T, str] = {}
        for half in (suspects[:middle], suspects[middle:]):
            if (why := await self._ask(half)) is not None:
                found |= await self.culprits(half, why)
        return found or dict.fromkeys(suspects, reason)  # no half is bad without the other


async def culprits(suspects: Sequence[T], ask: Ask[T], *, most: int = MOST_QUESTIONS) -> dict[T, str]:
    """All suspects at fault, each with the reason; when the questions run out, all that are left in doubt.

    One of a thousand takes twenty questions, and another one as many at most. Nobody where all together are accepted.
    """
    reason = await ask(suspects) if suspects else None
    return {} if reason is None else await _Inquiry(ask, most).culprits(suspects, reason)
