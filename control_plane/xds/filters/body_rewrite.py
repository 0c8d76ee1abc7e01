"""Changes of JSON bodies, and the guard behind them: what could not be rewritten goes nowhere.

Envoy's `transform` passes a body on untouched that it cannot read: repeated keys, a byte order mark, deep nesting, an
array, no JSON at all. It sets the mark only where it has rewritten, so the guard denies what has no mark. Both are in
every chain, off: a connection that was open before the first such route keeps its chain for a while, and must not pass
that route's bodies as they are.
"""

import json
from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2 as mutation_pb
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy.extensions.filters.http.transform.v3 import transform_pb2 as transform_pb
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as RbacFilter
from envoy_data_plane.envoy.extensions.filters.http.transform.v3 import TransformConfig
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any as DataPlaneAny
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Gateway, Route
from control_plane.xds import names
from control_plane.xds.filters.llm.groups import is_last
from control_plane.xds.filters.metering import demand
from control_plane.xds.filters.per_route import ON, PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

# The policy's name stands in the response code details, where the error's mapper finds it.
POLICY = "body-not-rewritten"
STAT_PREFIX = "body_guard."
# Clients cannot bring it: it is one of the headers that are removed before the route is chosen.
MARK = contract.INTERNAL_HEADER_PREFIX + "body"
REWRITTEN = "rewritten"
# The only type that `transform` reads, and only in the encoding that JSON has (RFC 8259, 8.1): an upstream that heeds
# another charset, or decompresses, would read another body than the one that was rewritten.
JSON_TYPE = r'(?i)application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?'


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Both off; a route that rewrites turns both on."""
    guard = RbacFilter(rules_stat_prefix=STAT_PREFIX)
    return (
        HttpFilter(name=names.BODY_REWRITE, typed_config=DataPlaneAny.pack(TransformConfig()), disabled=True),
        HttpFilter(name=names.BODY_GUARD, typed_config=DataPlaneAny.pack(guard), disabled=True),
    )


def per_route(route: Route | None) -> PerRoute:
    """What is merged into the body, and the guard; the last of a group turns both on."""
    if route is not None and is_last(route):
        return {names.BODY_REWRITE: ON, names.BODY_GUARD: GUARD}
    if route is None or not rewrites(route):
        return {}
    return {names.BODY_REWRITE: _merged(route), names.BODY_GUARD: GUARD}


def rewrites(route: Route) -> bool:
    """Whether the upstream gets another body: what the configuration writes into it, or what was counted."""
    return bool(route.body_merge) or route.tokens is not None


def _merged(route: Route) -> ProtoAny:
    mark = base_pb.HeaderValueOption(
        header=base_pb.HeaderValue(key=MARK, value=REWRITTEN),
        append_action=base_pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    body = transform_pb.BodyTransformation(action=transform_pb.BodyTransformation.MERGE)
    # Also where nothing is written: a body that has been read is marked.
    body.body_format.json_format.SetInParent()
    written = _literal(json.loads(route.body_merge)) if route.body_merge else {}
    if route.model is not None:
        # Those who know it by another name write that one over it.
        written["model"] = route.model.targets[0][0].model
    if route.tokens is not None:
        written = demand.merged(demand.demand(route.tokens, route.model), written)
        # What is left to the client is no key of the merge.
        body.body_format.omit_empty_values = True
    body.body_format.json_format.update(written)
    rewrite = transform_pb.Transformation(
        headers_mutations=[mutation_pb.HeaderMutation(append=mark)], body_transformation=body
    )
    return packed(transform_pb.TransformConfig(request_transformation=rewrite))


def _literal(value: Any) -> Any:
    """The value as a format that stands for itself: Envoy reads percent signs in texts."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("%", "%%") if isinstance(value, str) else value


def _guard() -> ProtoAny:
    marked, named, encoded = rbac_pb.Permission(), rbac_pb.Permission(), rbac_pb.Permission()
    marked.not_rule.header.name = MARK
    marked.not_rule.header.string_match.exact = REWRITTEN
    named.not_rule.header.name = "content-type"
    named.not_rule.header.string_match.safe_regex.regex = JSON_TYPE
    encoded.header.name = "content-encoding"
    encoded.header.present_match = True
    policy = rbac_pb.Policy(permissions=[marked, named, encoded], principals=[rbac_pb.Principal(any=True)])
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.DENY, policies={POLICY: policy})
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac_filter_pb.RBAC(rules=rules, rules_stat_prefix=STAT_PREFIX)))


# What every route that rewrites says to the guard.
GUARD = _guard()
