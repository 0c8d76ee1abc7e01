"""Tests of what stands in a request's metadata, as permissions of a guard."""

from collections.abc import Iterable

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.type.matcher.v3 import value_pb2 as value_pb

PRESENT = value_pb.ValueMatcher(present_match=True)


def exactly(text: str) -> value_pb.ValueMatcher:
    matcher = value_pb.ValueMatcher()
    matcher.string_match.exact = text
    return matcher


def containing(text: str) -> value_pb.ValueMatcher:
    matcher = value_pb.ValueMatcher()
    matcher.string_match.contains = text
    return matcher


def any_of(matchers: Iterable[value_pb.ValueMatcher]) -> value_pb.ValueMatcher:
    """One of them, of which there is one at least; Envoy takes no alternative of one."""
    found = list(matchers)
    return found[0] if len(found) == 1 else value_pb.ValueMatcher(or_match=value_pb.OrMatcher(value_matchers=found))


def held(namespace: str, name: str, value: value_pb.ValueMatcher) -> rbac_pb.Permission:
    """Where this stands in the namespace."""
    permission = rbac_pb.Permission()
    matcher = permission.sourced_metadata.metadata_matcher
    matcher.filter = namespace
    matcher.path.add(key=name)
    matcher.value.CopyFrom(value)
    return permission


def no(permission: rbac_pb.Permission) -> rbac_pb.Permission:
    """Where the other does not hold."""
    return rbac_pb.Permission(not_rule=permission)
