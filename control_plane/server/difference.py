"""What many streams need of the same resources, made once: differences, whole types, and what has a lifetime.

Resources of a type are compared by the identity of their mapping: a type that did not change keeps its mapping.
"""

from dataclasses import replace
from types import MappingProxyType

from control_plane.evolving import Evolving
from control_plane.server.exchange import Versions
from control_plane.snapshot import Named, Resource
from service_kit.memo import IdentityMemo

# Enough for the types of a few groups, each with consumers at some earlier states.
KEPT = 64

SAME: Versions = MappingProxyType({})

Contents = tuple[tuple[Resource, ...], tuple[str, ...]]


def _difference(old: Named, new: Named) -> Versions:
    changed: dict[str, str | None] = dict.fromkeys(old.keys() - new.keys())
    for name, item in new.items():
        before = old.get(name)
        if before is not item and (before is None or before.version != item.version):
            changed[name] = item.version
    return {name: changed[name] for name in sorted(changed)}


def difference(old: Named, new: Named) -> Versions:
    """From the one mapping to the other, by name in order; None: gone."""
    if old is new:
        return SAME
    if isinstance(new, Evolving):  # not kept: who keeps such a mapping keeps what came of it
        return _evolved(old, new)
    return _differences(old, new)


def _evolved(old: Named, new: Evolving[Resource]) -> Versions:
    names = new.since(old)
    if names is None:
        return _difference(old, new)
    found = ((name, _version(old, name), _version(new, name)) for name in sorted(names))
    return {name: after for name, before, after in found if before != after}


def _version(named: Named, name: str) -> str | None:
    item = named.get(name)
    return None if item is None else item.version


def _everything(named: Named) -> tuple[Resource, ...]:
    return tuple(named[name] for name in sorted(named))


def contents_of(told: Versions, named: Named) -> Contents:
    """The resources that are there, and the names of those that are not."""
    present = tuple(named[name] for name, version in told.items() if version is not None)
    return present, tuple(name for name, version in told.items() if version is None)


def _heartbeats(named: Named) -> tuple[Resource, ...]:
    return tuple(replace(item, body=b"") for item in _everything(named) if item.ttl is not None)


_differences = IdentityMemo(_difference, KEPT)
# A whole type, by name in order.
everything = IdentityMemo(_everything, KEPT)
# contents_of, for what many are told.
shared_contents = IdentityMemo(contents_of, KEPT)
# The resources with a lifetime, without their bodies.
heartbeats = IdentityMemo(_heartbeats, KEPT)
