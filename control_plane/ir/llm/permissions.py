"""Which plans may call which models."""

from dataclasses import dataclass, field

from control_plane.config import model as config
from control_plane.config.values.models import matches

Plans = tuple[str, ...]


@dataclass(frozen=True)
class Permissions:
    """Plans in the order of their names, with the patterns that they allow; None: all models.

    What was once found of a name is remembered, for as long as the patterns are the same.
    """

    plans: tuple[tuple[str, tuple[str, ...] | None], ...]
    _known: dict[str, Plans | None] = field(default_factory=dict, compare=False, repr=False)

    def now(self, source: config.Config) -> "Permissions":
        """Those of this configuration."""
        fresh = Permissions(tuple((name, plan.models) for name, plan in sorted(source.plans.items())))
        return self if self == fresh else fresh

    def plans_of(self, model: str) -> Plans | None:
        """The plans that may call a model; None where all may, and who has none."""
        if model not in self._known:
            allowed = tuple(plan for plan, patterns in self.plans if patterns is None or _any(patterns, model))
            self._known[model] = None if len(allowed) == len(self.plans) else allowed
        return self._known[model]


def _any(patterns: tuple[str, ...], model: str) -> bool:
    return any(matches(pattern, model) for pattern in patterns)
