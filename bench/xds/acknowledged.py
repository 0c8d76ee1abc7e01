"""From an edit of one file to the ACK of the real Envoy, seen on the wire between it and the control plane."""

import time
from dataclasses import dataclass

from bench.load import LoadFailed
from bench.xds.corpus import Edit, Shape
from bench.xds.plane import Plane, running_envoy_behind_a_tap, running_plane
from bench.xds.tap import Passed, Tap
from service_kit.clock import Clock

# Nothing has passed for so long: the edit has been pushed and judged.
QUIET_SECONDS = 0.25
PATIENCE = 30.0
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Acknowledged:
    """Seconds: until the push began to leave, until all of it was on its way, until its ACK; bytes of the push.

    `compiled` is what the control plane itself says that the compiler, its checks and the real Envoy's took.
    """

    made: float
    handed_on: float
    envoy: float
    size: int
    compiled: float

    @property
    def total(self) -> float:
        return self.made + self.handed_on + self.envoy


def acknowledged(shape: Shape, edits: int, clock: Clock) -> tuple[list[Acknowledged], dict[str, int]]:
    """So many edits of a route one after the other; and of each kind of edit, the bytes that were pushed."""
    with running_plane(shape, clock) as plane, running_envoy_behind_a_tap(plane) as tap:
        time.sleep(QUIET_SECONDS)
        sizes = {kind.value: _edited(plane, tap, kind, 0).size for kind in Edit}
        return [_edited(plane, tap, Edit.ROUTE, number) for number in range(1, edits + 1)], sizes


def _edited(plane: Plane, tap: Tap, kind: Edit, number: int) -> Acknowledged:
    tap.forget()
    before = plane.counts()["tollgate_config_compile_seconds_sum"]
    start = plane.clock.monotonic()
    plane.corpus.edit(kind, number)
    seen = _awaited(tap, start, plane.clock)
    if not plane.is_acknowledged():
        raise LoadFailed(f"an edit of a {kind.value} was not acknowledged")
    pushed = [item for item in seen if not item.of_client]
    judged = [item for item in seen if item.of_client]
    return Acknowledged(
        made=pushed[0].at - start,
        handed_on=pushed[-1].at - pushed[0].at,
        envoy=judged[-1].at - pushed[-1].at,
        size=sum(item.size for item in pushed),
        compiled=plane.counts()["tollgate_config_compile_seconds_sum"] - before,
    )


def _awaited(tap: Tap, start: float, clock: Clock) -> tuple[Passed, ...]:
    """What has passed since, once the last of it is an answer of Envoy's and nothing follows."""
    while clock.monotonic() < start + PATIENCE:
        time.sleep(POLL_SECONDS)
        seen = tap.since(start)
        if seen and seen[-1].of_client and clock.monotonic() > seen[-1].at + QUIET_SECONDS:
            return seen
    raise LoadFailed(f"an edit was not acknowledged in {PATIENCE:g} s")
