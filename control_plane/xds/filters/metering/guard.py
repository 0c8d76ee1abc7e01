"""Refuses calls of metered routes whose numbers are none: 400, before anybody is asked and anything is taken.

A number that Envoy cannot print as hits would be missing from the call to the limiter, and one above what the route
allows would be held for nothing. A body that was not read at all lacks what is written for every body that was.
"""

from collections.abc import Iterator
from functools import lru_cache

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
from control_plane.xds.filters.llm import strays
from control_plane.xds.filters.llm.groups import by_name, is_last
from control_plane.xds.filters.llm.parameters import REFUSED
from control_plane.xds.filters.metadata import PRESENT, held, no
from control_plane.xds.filters.metering.demand import ENDLESS, OUTPUTS
from control_plane.xds.filters.metering.fields import OTHER, PROMPT, STREAM
from control_plane.xds.filters.per_route import PerRoute
from control_plane.xds.packing import packed
from service_kit import contract

# The policies' names stand in the response code details, where the error's mapper finds them.
POLICY = contract.UNCOUNTED
FRACTIONS = f"{POLICY}-fraction"
# A parameter that the model does not know. Before the others in the alphabet, so that it is named first.
UNSUPPORTED = "parameter-unsupported"
STAT_PREFIX = "token_guard."
# As OpenAI has it.
MOST_ANSWERS = 128
# Every whole number up to it is one of JSON's.
LARGEST_NUMBER = 1 << 53


def filters(_gateway: Gateway) -> tuple[HttpFilter, ...]:
    """Off, and in every chain: on a connection that was open before the first metered route, nothing reads bodies."""
    guard = RbacFilter(rules_stat_prefix=STAT_PREFIX)
    return (HttpFilter(name=names.TOKEN_GUARD, typed_config=Any.pack(guard), disabled=True),)


def per_route(route: Route | None) -> PerRoute:
    """What a metered route lets pass; the last of a group, nothing."""
    if route is not None and is_last(route):
        return {names.TOKEN_GUARD: strays.guarded(STAT_PREFIX, by_name=by_name(route))}
    if route is None or route.tokens is None:
        return {}
    call = route.model
    if call is None:
        return {names.TOKEN_GUARD: guarded(route.tokens)}
    return {names.TOKEN_GUARD: guarded(route.tokens, clamps=call.clamps, refuses=bool(call.refused))}


@lru_cache(maxsize=1024)  # few ways to meter, many routes
def guarded(tokens: Metering, *, clamps: bool = False, refuses: bool = False) -> ProtoAny:
    """What a route that is metered so says to the guard; one that `refuses` parameters has them looked for."""
    anybody = [rbac_pb.Principal(any=True)]
    policies = {POLICY: rbac_pb.Policy(permissions=_refused(tokens, clamps=clamps), principals=anybody)}
    if refuses:
        refused = held(contract.LLM_NAMESPACE, REFUSED, PRESENT)
        policies[UNSUPPORTED] = rbac_pb.Policy(permissions=[refused], principals=anybody)
    if outputs := OUTPUTS[tokens.api]:
        policies[FRACTIONS] = rbac_pb.Policy(
            permissions=[rbac_pb.Permission(any=True)],
            principals=anybody,
            condition=cel.call("!_", cel.every(*map(_whole, (*outputs, contract.NUMBER_ANSWERS)))),
        )
    rules = rbac_pb.RBAC(action=rbac_pb.RBAC.DENY, policies=policies)
    return packed(rbac_filter_pb.RBACPerRoute(rbac=rbac_filter_pb.RBAC(rules=rules, rules_stat_prefix=STAT_PREFIX)))


def _refused(tokens: Metering, *, clamps: bool) -> Iterator[rbac_pb.Permission]:
    yield no(_held(contract.NUMBER_ANSWERS, _between(1, MOST_ANSWERS)))
    yield no(_either(_held(STREAM, value_pb.ValueMatcher(bool_match=value)) for value in (False, True)))
    yield _held(OTHER, PRESENT)
    for name in OUTPUTS[tokens.api]:
        yield _both(_held(name, PRESENT), *(no(_held(name, value)) for value in _taken(name, tokens, clamps=clamps)))
    if tokens.api is Api.COMPLETIONS:
        # A list of prompts is as many answers, and nobody can say how many: only one text is read.
        yield no(_held(PROMPT, PRESENT))


def _taken(name: str, tokens: Metering, *, clamps: bool) -> Iterator[value_pb.ValueMatcher]:
    """The numbers that pass; of those that are cut down, also what stands for no end."""
    yield _between(1, LARGEST_NUMBER if clamps else tokens.most)
    for endless in ENDLESS.get(name, ()) if clamps else ():
        matcher = value_pb.ValueMatcher()
        matcher.double_match.exact = endless
        yield matcher


def _between(least: int, most: int) -> value_pb.ValueMatcher:
    matcher = value_pb.ValueMatcher()
    matcher.double_match.range.start = least
    # Without its end.
    matcher.double_match.range.end = most + 1
    return matcher


def _held(name: str, value: value_pb.ValueMatcher) -> rbac_pb.Permission:
    return held(contract.LLM_NAMESPACE, name, value)


def _either(permissions: Iterator[rbac_pb.Permission]) -> rbac_pb.Permission:
    return rbac_pb.Permission(or_rules=rbac_pb.Permission.Set(rules=permissions))


def _both(*permissions: rbac_pb.Permission) -> rbac_pb.Permission:
    return rbac_pb.Permission(and_rules=rbac_pb.Permission.Set(rules=permissions))


def _whole(name: str) -> syntax_pb.Expr:
    """What cannot be computed, of a text for one, does not hold, and is refused by the other policy."""
    read = cel.item(cel.attribute("metadata", "filter_metadata"), contract.LLM_NAMESPACE)
    number = cel.item(read, name)
    return cel.either(cel.lacks(read, name), cel.call("_==_", cel.call("double", cel.call("int", number)), number))
