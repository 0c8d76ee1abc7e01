"""What the consumers of a release say of it together, and so whose fault a refusal is.

What all of a group refuse who have judged it is wrong with the configuration. What some refuse and others run is wrong
with those nodes, and so is what a node cannot do on its own machine, though it were the only one: bind a port, or open
its log.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from control_plane.server.status import NodeVerdict, Refusal
from control_plane.server.wire import unquoted
from control_plane.snapshot import Release, Snapshot
from control_plane.virtual_hosts import with_virtual_hosts
from control_plane.xds.names import LISTENER_TYPE, ROUTES_TYPE, VIRTUAL_HOST_TYPE

# How Envoy 1.40 begins what it says of several resources, each in a line of its own, after a comma or a line break.
LISTED: Final = re.compile(r"Error adding/updating (?:listener|cluster)\(s\) ")
# `public: cannot bind '0.0.0.0:80': Address already in use`; permission, a foreign address and a missing folder too.
# A log that it may not open, as /dev/stdout of another user is, is the node's own as well.
CANNOT_OPEN: Final = re.compile(r"[^ ]+: (?:cannot bind '[^']*': |unable to open file '[^']*': )")


@dataclass(frozen=True)
class NodeRefusal:
    """What one node refuses, and why."""

    node: str
    group: str
    refusal: Refusal

    def __str__(self) -> str:
        return f"{self.node}: {told(self.refusal.message)}"


@dataclass(frozen=True)
class Outcome:
    """How a release fared, as far as it is known: told once it was judged, and again when a later word adds to it.

    `verdicts` are those of all who are connected, Envoys and services. `refused` is what makes it the configuration's
    fault; without any, the release stands. `instead` is what is served after a refusal; None where nothing is.
    """

    release: Release
    verdicts: tuple[NodeVerdict, ...]
    refused: tuple[NodeRefusal, ...] = ()
    instead: Release | None = None


def told(message: str) -> str:
    """The reason in a message of Envoy's, in one line."""
    return " ".join(unquoted(message).split()).removeprefix(": ")


def own_fault(refusal: Refusal) -> bool:
    """Whether the node could not do what others may: to bind a port, or open its log, for each listener named."""
    if refusal.type_url != LISTENER_TYPE or not LISTED.match(refusal.message):
        return False
    lines = LISTED.sub("", refusal.message, count=1).strip().splitlines()
    return all(CANNOT_OPEN.match(line) for line in lines)


def refused_names(refusal: Refusal) -> frozenset[str]:
    """The resources that the message names; where it names none, all of the push."""
    if not LISTED.match(refusal.message):
        return frozenset(refusal.names)
    said = LISTED.sub("", refusal.message, count=1)
    named = (name for name in refusal.names if re.search(rf"(?:^|[\s,]){re.escape(name)}: ", said))
    return frozenset(named) or frozenset(refusal.names)


def refused_by_all(
    verdicts: Sequence[NodeVerdict], asked: Mapping[str, AbstractSet[str]], served: Snapshot
) -> tuple[NodeRefusal, ...]:
    """What is refused by a whole group, by type; `asked` has the types that each node asked for."""
    return tuple(
        found
        for members in _groups(verdicts, served)
        for found in _refused_by(members, asked, served.visible_to(members[0].group))
    )


def _groups(verdicts: Iterable[NodeVerdict], served: Snapshot) -> Iterable[Sequence[NodeVerdict]]:
    """Nodes by group. Those of groups that nothing names see the same as those of none, and are one group."""
    named = {group for held in served.resources.values() for item in held.values() for group in item.groups}
    found: dict[str, list[NodeVerdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.group if verdict.group in named else "", []).append(verdict)
    return [found[group] for group in sorted(found)]


def _refused_by(
    members: Sequence[NodeVerdict], asked: Mapping[str, AbstractSet[str]], seen: Snapshot
) -> Iterator[NodeRefusal]:
    by_type: dict[str, list[NodeRefusal]] = {}
    for verdict in members:
        for refusal in verdict.refusals:
            if _counts(refusal, seen):
                by_type.setdefault(refusal.type_url, []).append(NodeRefusal(verdict.node, verdict.group, refusal))
    for type_url, refusals in by_type.items():
        refusers = {item.node for item in refusals}
        if not any(_accepts(verdict, type_url, asked) for verdict in members if verdict.node not in refusers):
            yield from refusals


def _counts(refusal: Refusal, seen: Snapshot) -> bool:
    """Whether it is about what is served now, and not the node's own."""
    served = {view.version(refusal.type_url) for view in (seen, with_virtual_hosts(seen))}
    return refusal.version in served and not own_fault(refusal)


def _accepts(verdict: NodeVerdict, type_url: str, asked: Mapping[str, AbstractSet[str]]) -> bool:
    """Whether a node that does not refuse the type runs it, and has not merely not answered yet."""
    types = asked.get(verdict.node, frozenset())
    if type_url == VIRTUAL_HOST_TYPE and type_url not in types:  # it has the same routes, in the table
        return not any(item.type_url == ROUTES_TYPE for item in verdict.refusals) and _accepts(
            verdict, ROUTES_TYPE, asked
        )
    return verdict.settled and type_url in types


def judged_by(verdicts: Iterable[NodeVerdict]) -> frozenset[tuple[str, ...]]:
    """Who has judged, and what each refuses: what is new in it is worth telling."""
    return frozenset(
        (verdict.node, verdict.group, *sorted(refusal.nonce for refusal in verdict.refusals))
        for verdict in verdicts
        if verdict.settled
    )
