"""Requests that no model of a group took: refused where numbers are, before anybody is asked and anything is taken.

A body that was not read, one that names no model, and one that names a model which is not there are told apart by the
names of the policies; of those that hold, Envoy tells the first in the alphabet.
"""

from functools import cache
from typing import Final

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.xds.filters import body_rewrite
from control_plane.xds.filters.metadata import PRESENT, held, no
from control_plane.xds.filters.metering.fields import MODEL, NAME, STREAM
from control_plane.xds.packing import packed
from service_kit import contract

UNREAD: Final = body_rewrite.POLICY
UNNAMED: Final = "model-missing"
UNKNOWN: Final = "model-not-found"


@cache
def guarded(stat_prefix: str, *, by_name: bool) -> ProtoAny:
    """What the last route of a group says to the guard: nobody passes. `by_name`: `name` may stand for `model`."""
    naming = (MODEL, NAME) if by_name else (MODEL,)
    unnamed = rbac_pb.Permission.Set(rules=[no(held(contract.LLM_NAMESPACE, name, PRESENT)) for name in naming])
    denied = {
        # Written for every body that was read.
        UNREAD: no(held(contract.LLM_NAMESPACE, STREAM, PRESENT)),
        UNNAMED: rbac_pb.Permission(and_rules=unnamed),
        UNKNOWN: rbac_pb.Permission(any=True),
    }
    anybody = [rbac_pb.Principal(any=True)]
    policies = {name: rbac_pb.Policy(permissions=[item], principals=anybody) for name, item in denied.items()}
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.DENY, policies=policies)
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac_filter_pb.RBAC(rules=rules, rules_stat_prefix=stat_prefix)))
