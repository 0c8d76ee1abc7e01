"""Which parameters of a request are taken, dropped or refused: one table for each kind of request.

A parameter that changes the answer and cannot be honoured is refused by name, unless the caller lets it drop; one that
only tunes a machine or labels a request is dropped. A value that asks for nothing counts as not given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_providers.asked import Asked, Untranslatable

# Values that ask for nothing, by the parameter that cannot be honoured.
Neutral = Mapping[str, tuple[object, ...]]


@dataclass(frozen=True)
class Parameters:
    """The table of one kind of request. What stands nowhere in it is refused as well: who knows what it would do."""

    taken: frozenset[str]
    dropped: frozenset[str] = frozenset()
    refused: Neutral = field(default_factory=dict)

    def unsupported(self, request: Asked) -> list[str]:
        """Paths of the parameters that cannot be honoured, in the order in which they were given."""
        return [request.param(name) for name, value in request.members.items() if self._asks_too_much(name, value)]

    def _asks_too_much(self, name: str, value: object) -> bool:
        if name in self.taken or name in self.dropped or value is None:
            return False
        return value not in self.refused.get(name, ())


def refuse(unsupported: list[str], *, drop: bool) -> None:
    """400 naming them, unless they may be dropped."""
    if unsupported and not drop:
        names = ", ".join(unsupported)
        raise Untranslatable(f"unsupported parameters: {names}", unsupported[0], "unsupported_parameter")
