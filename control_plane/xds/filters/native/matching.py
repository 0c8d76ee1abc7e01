"""Conditions on metadata, as RBAC tests them: on claims and header of a verified token, and on earlier verdicts."""

from collections.abc import Iterable

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.type.matcher.v3 import metadata_pb2 as metadata_pb
from envoy.type.matcher.v3 import string_pb2 as string_pb
from envoy.type.matcher.v3 import value_pb2 as value_pb

from control_plane.xds import names

PRESENT = value_pb.ValueMatcher(present_match=True)
# A list that holds something: what Envoy makes of words between spaces, too.
FILLED_LIST = value_pb.ValueMatcher(list_match=value_pb.ListMatcher(one_of=PRESENT))
# Where RBAC filters write what they found, and what is behind the prefix of one of them.
VERDICTS = "envoy.filters.http.rbac"
VERDICT = "shadow_effective_policy_id"


def metadata(value: value_pb.ValueMatcher, namespace: str, *path: str) -> rbac_pb.Principal:
    """Whether the value at this path is like this; never where there is none."""
    segments = [metadata_pb.MetadataMatcher.PathSegment(key=key) for key in path]
    matcher = metadata_pb.MetadataMatcher(filter=namespace, path=segments, value=value)
    return rbac_pb.Principal(sourced_metadata=rbac_pb.SourcedMetadata(metadata_matcher=matcher))


def of_token(value: value_pb.ValueMatcher, *path: str) -> rbac_pb.Principal:
    """Whether what Envoy keeps of a verified token is like this."""
    return metadata(value, names.JWT_AUTHN, *path)


def verdict(prefix: str, policy: str) -> rbac_pb.Principal:
    """Whether an earlier filter found that this policy holds."""
    return metadata(exactly(policy), VERDICTS, prefix + VERDICT)


def exactly(text: str) -> value_pb.ValueMatcher:
    """A text that is just this one."""
    return value_pb.ValueMatcher(string_match=string_pb.StringMatcher(exact=text))


def like(regex: str) -> value_pb.ValueMatcher:
    """A text that the expression matches as a whole."""
    matcher = string_pb.StringMatcher()
    matcher.safe_regex.regex = regex
    return value_pb.ValueMatcher(string_match=matcher)


def listing(text: str) -> value_pb.ValueMatcher:
    """A list with this text in it."""
    return value_pb.ValueMatcher(list_match=value_pb.ListMatcher(one_of=exactly(text)))


def every(conditions: Iterable[rbac_pb.Principal]) -> rbac_pb.Principal:
    """All of the conditions, of which there is one."""
    return rbac_pb.Principal(and_ids=rbac_pb.Principal.Set(ids=conditions))


def some(conditions: Iterable[rbac_pb.Principal]) -> rbac_pb.Principal:
    """One of the conditions, of which there is one."""
    return rbac_pb.Principal(or_ids=rbac_pb.Principal.Set(ids=conditions))


def no(condition: rbac_pb.Principal) -> rbac_pb.Principal:
    """The opposite."""
    return rbac_pb.Principal(not_id=condition)
