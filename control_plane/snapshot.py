"""A snapshot: every resource of one consumer group at one moment, named and versioned by content.

Versions are hashes of the bytes, so that two control planes that read the same files agree without talking.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from control_plane.evolving import Evolving
from service_kit.memo import IdentityMemo

# Types and their former states whose version and views are kept.
KEPT_TYPES = 8


@dataclass(frozen=True, slots=True)
class Resource:
    """One xDS resource as it goes on the wire: `body` is the serialized message of `type_url`.

    `groups` are the groups of nodes that may see it, all where there are none. `ttl` is its lifetime in seconds: a
    consumer that hears nothing of it for so long drops it.
    """

    type_url: str
    name: str
    body: bytes = field(repr=False)
    version: str
    groups: frozenset[str] = frozenset()
    ttl: float | None = None


def resource(
    type_url: str, name: str, body: bytes, groups: frozenset[str] = frozenset(), ttl: float | None = None
) -> Resource:
    """The resource with its version computed from its content, of which its lifetime is a part."""
    digest = hashlib.blake2b(body, digest_size=8, salt=b"" if ttl is None else struct.pack("d", ttl))
    return Resource(type_url, name, body, digest.hexdigest(), groups, ttl)


Named = Mapping[str, Resource]
NOTHING: Named = MappingProxyType({})


@dataclass(frozen=True)
class Snapshot:
    """Resources by type URL and name; equal contents have equal versions."""

    resources: Mapping[str, Mapping[str, Resource]]

    def of(self, type_url: str) -> Mapping[str, Resource]:
        """The resources of a type; empty where there are none."""
        return self.resources.get(type_url, NOTHING)

    def version(self, type_url: str) -> str:
        """The version of a whole type, as state-of-the-world responses state it."""
        return _type_version(self.of(type_url))

    def visible_to(self, group: str) -> "Snapshot":
        """What nodes of this group may see of it; itself where nothing is kept from any group."""
        if not self._groups:
            return self
        return self._views[group if group in self._groups else ""]

    @cached_property
    def _groups(self) -> frozenset[str]:
        return frozenset().union(*(_groups(named) for named in self.resources.values()))

    @cached_property
    def _views(self) -> Mapping[str, "Snapshot"]:
        """By group; a group that nothing names sees what the empty one does."""
        return {group: self._view(group) for group in (*self._groups, "")}

    def _view(self, group: str) -> "Snapshot":
        views = ((type_url, _group_views(named)) for type_url, named in self.resources.items())
        return Snapshot(MappingProxyType({type_url: view.get(group, view[""]) for type_url, view in views}))

    def sharing(self, other: "Snapshot") -> "Snapshot":
        """The same content, with the other's own mappings where a type is equal: they are compared by identity."""
        return Snapshot(
            MappingProxyType(
                {type_url: _shared(named, other.of(type_url)) for type_url, named in self.resources.items()}
            )
        )


@dataclass(frozen=True)
class Release:
    """What Envoys and what services are to run, made from one configuration."""

    envoy: Snapshot
    policies: Snapshot


EMPTY = Snapshot(MappingProxyType({}))


def snapshot(resources: Iterable[Resource]) -> Snapshot:
    """The snapshot of these resources; a name may occur once a type."""
    by_type: dict[str, dict[str, Resource]] = {}
    for item in resources:
        named = by_type.setdefault(item.type_url, {})
        if item.name in named:
            raise ValueError(f"{item.type_url} {item.name!r} occurs twice in one snapshot")
        named[item.name] = item
    return Snapshot(MappingProxyType({type_url: MappingProxyType(named) for type_url, named in by_type.items()}))


def _type_version(named: Named) -> str:
    """Of a mapping that knows its own it is not kept: who keeps such a one keeps what came of it."""
    return named.version if isinstance(named, Evolving) else _type_versions(named)


def _groups(named: Named) -> frozenset[str]:
    """The groups that some of these are kept for; those of an Evolving mapping are for all."""
    return frozenset() if isinstance(named, Evolving) else _named_groups(named)


def _version(named: Named) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, version in sorted((item.name, item.version) for item in named.values()):
        digest.update(f"{name}\0{version}\0".encode())
    return digest.hexdigest()


def _groups_of(named: Named) -> frozenset[str]:
    return frozenset().union(*(item.groups for item in named.values()))


def _views_of(named: Named) -> Mapping[str, Named]:
    """What each group that is named sees of a type, and under "" what the others do."""
    groups = _groups(named)
    if not groups:
        return {"": named}
    return {
        group: MappingProxyType({name: item for name, item in named.items() if not item.groups or group in item.groups})
        for group in (*groups, "")
    }


def _shared(named: Named, other: Named) -> Named:
    return other if named == other else named


_type_versions = IdentityMemo(_version, KEPT_TYPES)
_named_groups = IdentityMemo(_groups_of, KEPT_TYPES)
_group_views = IdentityMemo(_views_of, KEPT_TYPES)
