"""How upstreams stand whose models are asked for: they answer, or their models stay for a while, or are gone."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from control_plane.discovery.listing import Listing
from control_plane.discovery.sources import ModelSource
from control_plane.polling.follower import Follower

NOT_ASKED: Final = "it has not been asked yet"

ModelFollower = Follower[ModelSource, Listing]


class Standing(Enum):
    """The words that are shown."""

    UP = "up"
    # It does not answer; its models are still there.
    AWAY = "away"
    # None of its models are there.
    DOWN = "down"


@dataclass(frozen=True)
class BackendState:
    """An upstream: `since` when it stands so, why, and when it answered last (None: never); seconds since the epoch.

    `models` are the names that it listed last, whether or not they are still there.
    """

    upstream: str
    provider: str
    standing: Standing
    since: float
    reason: str
    models: tuple[str, ...]
    answered: float | None
    required: bool

    @property
    def present(self) -> tuple[str, ...]:
        """The names of the models that it has for the gateway."""
        return () if self.standing is Standing.DOWN else self.models


def is_present(item: ModelFollower, now: float) -> bool:
    """Whether what was found counts: the upstream answers, or ceased to not longer ago than its grace."""
    return item.kept is not None and (item.answers or now - item.turned_at <= item.source.grace)


def state_of(item: ModelFollower, now: float) -> BackendState:
    """How the upstream stands now."""
    source, kept = item.source, item.kept
    standing = Standing.UP if item.answers else Standing.AWAY if is_present(item, now) else Standing.DOWN
    withdrawn = standing is Standing.DOWN and kept is not None
    why_not = item.reason or NOT_ASKED
    left_out = kept.found.left_out if kept is not None else ""
    return BackendState(
        upstream=source.upstream,
        provider=source.provider,
        standing=standing,
        since=item.turned_at + source.grace if withdrawn else item.turned_at,
        reason=left_out if standing is Standing.UP else why_not,
        models=() if kept is None else tuple(model.name for model in kept.found.models),
        answered=None if kept is None else kept.at,
        required=source.required,
    )


def trouble(state: BackendState) -> str | None:
    """What is not as it should be, in a sentence; None where all is."""
    name = f"models of {state.upstream}"
    match state.standing:
        case Standing.UP:
            return f"{name}: {state.reason}" if state.reason else None
        case Standing.AWAY:
            return f"{name}: it does not answer, its {len(state.models)} models stay for now: {state.reason}"
        case Standing.DOWN if state.models:
            return f"{name}: it does not answer, its {len(state.models)} models are withdrawn: {state.reason}"
    return f"{name}: none was found yet: {state.reason}"


def why_not_ready(state: BackendState) -> str | None:
    """Why the gateway is not ready with this upstream; None where it is. It is told to everybody: no addresses."""
    if not state.required or state.present:
        return None
    if state.standing is Standing.UP:
        return f"upstream {state.upstream} is required and lists no model"
    return f"upstream {state.upstream} is required and does not list its models"
