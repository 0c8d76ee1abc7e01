"""What a client came back with though it is not served any more: it is told so late.

Whoever was away runs routes of then, and is told of clusters before it is told of routes. Nobody else knows what it
runs: it may have been away for several configurations, or the control plane may have ended before it wrote one down.
"""

from collections.abc import Callable, Mapping
from typing import Final

from control_plane.server.exchange import Versions
from control_plane.server.holding import Holding
from control_plane.snapshot import Named

# Seconds. In which Envoys come back to a control plane that was away: their longest pause, and a little more. A service
# keeps its policies as long as an Envoy may ask for them, an Envoy its clusters as long as its requests may need them.
RETURN_SECONDS: Final = 35.0


class Left:
    """Names with the versions that the client said to have, until it may be told that they are gone."""

    def __init__(self) -> None:
        self.until: float | None = None
        self._versions: dict[str, str] = {}

    def begin(self, versions: Mapping[str, str], now: float) -> None:
        """The client comes back with these."""
        if versions:
            self._versions = dict(versions)
            self.until = now + RETURN_SECONDS

    def without(self, told: Versions, target: Named) -> Versions:
        """What is told of a change, but for what is left; what is served again is like any other from then on."""
        if not self._versions:
            return told
        self._versions = {name: version for name, version in self._versions.items() if name not in target}
        return {name: version for name, version in told.items() if name not in self._versions}

    def forget(self, names: set[str]) -> None:
        """The client asks for these by name, and is answered."""
        if self._versions:
            self._versions = {name: version for name, version in self._versions.items() if name not in names}

    def end(self, held: Holding, wants: Callable[[str], bool], now: float) -> bool:
        """Whether the time has come: what the client still wants is then known to be had by it."""
        if self.until is None or now < self.until:
            return False
        held.has({name: version for name, version in self._versions.items() if wants(name)})
        self._versions, self.until = {}, None
        return True
