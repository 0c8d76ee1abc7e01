"""Configurations as the audit trail tells of them: what is live instead of what, and what was refused.

Names of what changed are told, and no values: these may be secrets.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from control_plane.audit import Trail
from control_plane.config.model import Config
from control_plane.live.status import Published
from service_kit.audit import FILE, GATEWAY, By, Facts, Result

ACCEPTED: Final = "configuration.accepted"
# Live but for the parts that were refused.
HELD_BACK: Final = "configuration.held_back"
REFUSED: Final = "configuration.refused"
CONFIGURATION: Final = "configuration"
# Of each kind; more are counted.
MOST_NAMES: Final = 10
MOST_REASONS: Final = 3


class Changes:
    """Tells the trail of the configurations of one source."""

    def __init__(self, trail: Trail, source: str) -> None:
        self._trail = trail
        self._of_file = By(FILE, f"file {source}")
        self._of_gateway = By(GATEWAY, "control plane")

    async def went_live(self, before: Published | None, now: Published | None, *, of_file: bool) -> None:
        """Where another configuration is live than before."""
        if now is None or (before is not None and before.candidate is now.candidate):
            return
        old, new = None if before is None else _facts(before), _facts(now)
        if old is not None and _without_number(old) == _without_number(new):
            return
        was = None if before is None else before.candidate.checked.loaded.config
        changed = await asyncio.to_thread(changes, was, now.candidate.checked.loaded.config)
        action = HELD_BACK if now.candidate.held else ACCEPTED
        by = self._of_file if of_file else self._of_gateway
        why = _first(item.reason for item in now.candidate.held)
        self._trail.note(by, action, CONFIGURATION, old=old, new={**new, "changed": changed}, why=why)

    def refused(self, errors: Iterable[str], *, of_file: bool) -> None:
        told = tuple(errors)
        by = self._of_file if of_file else self._of_gateway
        self._trail.note(by, REFUSED, CONFIGURATION, new={"errors": len(told)}, result=Result.REFUSED, why=_first(told))


def changes(before: Config | None, now: Config) -> Facts:
    """What is another one, by section: names, or that it is. Of a first configuration how much there is."""
    if before is None:
        return {name: len(named) for name, value in now if (named := _by_name(value))}
    return dict(_sections(before, now))


def _sections(before: Config, now: Config) -> Iterator[tuple[str, Any]]:  # Any: JSON
    for name, value in now:
        was = getattr(before, name)
        if was is value or was == value:
            continue
        old, new = _by_name(was), _by_name(value)
        kinds = {
            "added": [item for item in new if item not in old],
            "removed": [item for item in old if item not in new],
            "changed": [item for item in new if item in old and _differ(old[item], new[item])],
        }
        yield name, {kind: _short(names) for kind, names in kinds.items() if names} or "changed"


def _by_name(value: object) -> Mapping[str, Any]:  # Any: parts of a configuration
    if isinstance(value, Mapping):
        return {str(name): part for name, part in value.items()}
    if isinstance(value, tuple):
        return {str(part.name): part for part in value if hasattr(part, "name")}
    return {}


def _differ(before: object, now: object) -> bool:
    return before is not now and before != now


def _first(reasons: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(islice(reasons, MOST_REASONS)))


def _short(names: list[str]) -> list[str]:
    more = len(names) - MOST_NAMES
    return names if more <= 0 else [*names[:MOST_NAMES], f"and {more} more"]


def _facts(published: Published) -> Facts:
    candidate = published.candidate
    facts = {"digest": candidate.checked.loaded.inputs.digest, "number": published.number}
    return {**facts, "held_back": _short([item.name for item in candidate.held])} if candidate.held else facts


def _without_number(facts: Facts) -> Facts:
    return {name: value for name, value in facts.items() if name != "number"}
