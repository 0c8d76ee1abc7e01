"""A snapshot: every resource of one consumer group at one moment, named and versioned by content.

Versions are hashes of the bytes, so that two control planes that read the same files agree without talking.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType


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


def resource(type_url: str, name: str, body: bytes, groups: frozenset[str] = frozenset()) -> Resource:
    """The resource with its version computed from its content."""
    return Resource(type_url, name, body, hashlib.blake2b(body, digest_size=8).hexdigest(), groups)


@dataclass(frozen=True)
class Snapshot:
    """Resources by type URL and name; equal contents have equal versions."""

    resources: Mapping[str, Mapping[str, Resource]]

    def of(self, type_url: str) -> Mapping[str, Resource]:
        """The resources of a type; empty where there are none."""
        return self.resources.get(type_url, MappingProxyType({}))

    def version(self, type_url: str) -> str:
        """The version of a whole type, as state-of-the-world responses state it."""
        return self._versions.get(type_url) or _version(())

    @cached_property
    def _versions(self) -> Mapping[str, str]:
        return {type_url: _version(named.values()) for type_url, named in self.resources.items()}


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


def _version(resources: Iterable[Resource]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, version in sorted((item.name, item.version) for item in resources):
        digest.update(f"{name}\0{version}\0".encode())
    return digest.hexdigest()
