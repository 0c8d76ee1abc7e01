"""What a client has of one type: the resources it ACKed as a whole, and the names for which that is not so.

Thousands of clients that run the same resources share one mapping of them; what sets one apart is small.
"""

from collections.abc import Callable, Iterable

from control_plane.server.difference import difference
from control_plane.server.exchange import Versions
from control_plane.snapshot import NOTHING, Named


class Holding:
    """Versions by name. It answers for the names that are wanted; of others it may say anything."""

    def __init__(self) -> None:
        self.base: Named = NOTHING
        self.refused: Versions = {}  # what was NACKed: not sent again by itself [16]
        self._apart: dict[str, str | None] = {}  # before the base
        self._widened = False  # since the push in flight: its ACK does not speak for all that is wanted now

    def version(self, name: str) -> str | None:
        """The version that the client has; None: it has none."""
        if name in self._apart:
            return self._apart[name]
        item = self.base.get(name)
        return None if item is None else item.version

    def lacks(self, names: Iterable[str]) -> None:
        """These are wanted from now on: what was known of them earlier is forgotten."""
        self._apart.update({name: None for name in names if name in self.base or name in self._apart})
        self._widened = True

    def lacks_all_but(self, names: Iterable[str]) -> None:
        """Everything is wanted from now on, and only these were before."""
        self._apart = {name: version for name in names if (version := self.version(name)) is not None}
        self.base = NOTHING
        self._widened = True

    def has(self, versions: Versions) -> None:
        self._apart.update(versions)

    def has_all(self, target: Named) -> None:
        self.base = target
        self._apart = {}

    def keep_only(self, wants: Callable[[str], bool]) -> bool:
        """Forgets what is not wanted any more; whether some of that was refused."""
        if self._apart:
            self._apart = {name: version for name, version in self._apart.items() if wants(name)}
        return self.keep_refused(wants)

    def keep_refused(self, offered: Callable[[str], bool]) -> bool:
        """Forgets refusals of what is not offered any more; whether there were any."""
        if not self.refused:
            return False
        kept = {name: version for name, version in self.refused.items() if offered(name)}
        is_less = len(kept) < len(self.refused)
        self.refused = kept
        return is_less

    def changes(self, target: Named) -> Versions:
        """From the base to the target, shared by all who have this base; `singled_out` names are not looked at."""
        return difference(self.base, target)

    @property
    def singled_out(self) -> frozenset[str]:
        """The names that have to be looked at one by one."""
        return frozenset({*self._apart, *self.refused}) if self._apart or self.refused else frozenset()

    def moved_on(self, target: Named, told: Versions) -> None:
        """Nothing but what is told sets the client apart from the target: the distance to it stays short."""
        self._apart = {name: self.version(name) for name in told}
        self.base = target

    def pushed(self) -> None:
        self._widened = False

    def accepted(self, told: Versions, target: Named) -> None:
        if self.refused:
            self.refused = {name: version for name, version in self.refused.items() if name not in told}
        if self._widened:
            self._apart.update(told)
        else:
            self.has_all(target)

    def refuses(self, told: Versions) -> None:
        self.refused = {**self.refused, **told} if self.refused else told
