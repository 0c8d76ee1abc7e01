"""Refuses calls of metered routes whose numbers are none: 400, before anybody is asked and anything is taken.

A number that Envoy cannot print as hits would be missing from the call to the limiter, and one above what the route
allows would be held for nothing. A body that was not read at all lacks what is written for every body that was.
"""

from collections.abc import Iterator

from envoy.config.rbac.v3 import rbac_pb2 as rbac_pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb
from envoy.type.matcher.v3 import value_pb2 as value_pb
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as RbacFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any
from google.api.expr.v1alpha1 import syntax_pb2 as syntax_pb
from google.protobuf.any_pb2 import Any as ProtoAny

from control_plane.ir.model import Api, Gateway, Metering, Route
from control_plane.xds import cel, names
from control_plane.xds.filters.metering.demand import OUTPUTS
from control_plane.xds.filters.metering.fields import OTHER, PROMPT, STREAM
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

# The policies' names stand in the response code details, where the error's mapper finds them.
POLICY = contract.UNCOUNTED
FRACTIONS = f"{POLICY}-fraction"
STAT_PREFIX = "token_guard."
# As OpenAI has it.
MOST_ANSWERS = 128


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and in every chain: on a connection that was open before the first metered route, nothing reads bodies."""
    guard = RbacFilter(rules_stat_prefix=STAT_PREFIX)
    return (HttpFilter(name=names.TOKEN_GUARD, typed_config=Any.pack(guard), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """What a metered route lets pass."""
    return {} if route is None or route.tokens is None else {names.TOKEN_GUARD: guarded(route.tokens)}


def guarded(tokens: Metering) -> ProtoAny:
    """What a route that is metered so says to the guard."""
    anybody = [rbac_pb.Principal(any=True)]
    policies = {POLICY: rbac_pb.Policy(permissions=_refused(tokens), principals=anybody)}
    if outputs := OUTPUTS[tokens.api]:
        policies[FRACTIONS] = rbac_pb.Policy(
            permissions=[rbac_pb.Permission(any=True)],
            principals=anybody,
            condition=cel.call("!_", cel.every(*map(_whole, (*outputs, contract.NUMBER_ANSWERS)))),
        )
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.DENY, policies=policies)
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac_filter_pb.RBAC(rules=rules, rules_stat_prefix=STAT_PREFIX)))


def _refused(tokens: Metering) -> Iterator[rbac_pb.Permission]:
    yield _no(_held(contract.NUMBER_ANSWERS, _between(1, MOST_ANSWERS)))
    yield _no(_either(_held(STREAM, value_pb.ValueMatcher(bool_match=value)) for value in (False, True)))
    yield _held(OTHER, PRESENT)
    for name in OUTPUTS[tokens.api]:
        yield _both(_held(name, PRESENT), _no(_held(name, _between(1, tokens.most))))
    if tokens.api is Api.COMPLETIONS:
        # A list of prompts is as many answers, and nobody can say how many: only one text is read.
        yield _no(_held(PROMPT, PRESENT))


PRESENT = value_pb.ValueMatcher(present_match=True)


def _between(least: int, most: int) -> value_pb.ValueMatcher:
    matcher = value_pb.ValueMatcher()
    matcher.double_match.range.start = least
    # Without its end.
    matcher.double_match.range.end = most + 1
    return matcher


def _held(name: str, value: value_pb.ValueMatcher) -> rbac_pb.Permission:
    permission = rbac_pb.Permission()
    matcher = permission.sourced_metadata.metadata_matcher
    matcher.filter = contract.LLM_NAMESPACE
    matcher.path.add(key=name)
    matcher.value.CopyFrom(value)
    return permission


def _no(permission: rbac_pb.Permission) -> rbac_pb.Permission:
    return rbac_pb.Permission(not_rule=permission)


def _either(permissions: Iterator[rbac_pb.Permission]) -> rbac_pb.Permission:
    return rbac_pb.Permission(or_rules=rbac_pb.Permission.Set(rules=permissions))


def _both(*permissions: rbac_pb.Permission) -> rbac_pb.Permission:
    return rbac_pb.Permission(and_rules=rbac_pb.Permission.Set(rules=permissions))


def _whole(name: str) -> syntax_pb.Expr:
    """What cannot be computed, of a text for one, does not hold, and is refused by the other policy."""
    read = cel.item(cel.attribute("metadata", "filter_metadata"), contract.LLM_NAMESPACE)
    number = cel.item(read, name)
    return cel.either(cel.lacks(read, name), cel.call("_==_", cel.call("double", cel.call("int", number)), number))
