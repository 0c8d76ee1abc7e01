"""Which requests a route takes: path, method, headers and query parameters, and what was read of them since.

Envoy tests a path without its query, each value of a repeated header by itself, and of a repeated parameter the first
value; parameters are not decoded.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.type.matcher.v3 import metadata_pb2 as metadata_pb
from envoy.type.matcher.v3 import string_pb2 as string_pb
from envoy.type.matcher.v3 import value_pb2 as value_pb

from control_plane.ir.model import Asked, Condition, PathKind, PathMatch, Route, TestKind
from control_plane.xds.filters.llm.groups import by_name, is_last
from control_plane.xds.filters.metadata import PRESENT, any_of, exactly
from control_plane.xds.filters.metering.fields import MODEL, NAME, STREAM
from service_kit import contract

# What a variable takes: one whole segment, and not an empty one.
SEGMENT = "[^/]+"


def route_matches(route: Route) -> Iterator[route_pb.RouteMatch]:
    """The ways in which requests come to the route: one, but for what bodies may say in several."""
    for said in _said(route):
        match = _route_match(route)
        match.dynamic_metadata.extend(said)
        yield match


def _said(route: Route) -> Iterator[tuple[metadata_pb.MetadataMatcher, ...]]:
    """What the metadata of a request must say, way by way."""
    of_plans: tuple[metadata_pb.MetadataMatcher, ...] = ()
    if route.of_plans:
        of_plans = (_metadata(contract.IDENTITY_NAMESPACE, "plan", any_of(map(exactly, route.of_plans))),)
    if route.asked is None or is_last(route):
        yield of_plans
        return
    for asked in _asked(route.asked, other_name=by_name(route)):
        yield (*of_plans, *asked)


def _asked(asked: Asked, *, other_name: bool) -> Iterator[tuple[metadata_pb.MetadataMatcher, ...]]:
    """By `model`; where there is none perhaps by `name`, as Ollama's older clients ask about one, or by nothing."""
    unnamed = _metadata(contract.LLM_NAMESPACE, MODEL, PRESENT)
    unnamed.invert = True
    if asked.names:
        names = any_of(map(exactly, asked.names))
        yield (_metadata(contract.LLM_NAMESPACE, MODEL, names),)
        if other_name:
            yield unnamed, _metadata(contract.LLM_NAMESPACE, NAME, names)
    if asked.unnamed:
        # Only of a body that was read: `stream` is written for each.
        yield unnamed, _metadata(contract.LLM_NAMESPACE, STREAM, PRESENT)


def _metadata(namespace: str, key: str, value: value_pb.ValueMatcher) -> metadata_pb.MetadataMatcher:
    matcher = metadata_pb.MetadataMatcher(filter=namespace, value=value)
    matcher.path.add(key=key)
    return matcher


def _route_match(route: Route) -> route_pb.RouteMatch:
    match = _path_match(route.path)
    if route.methods:
        method = match.headers.add(name=":method")
        method.string_match.safe_regex.regex = "|".join(route.methods)
    for condition in route.headers:
        _test(match.headers.add(name=condition.name), condition)
    for condition in route.query:
        _test(match.query_parameters.add(name=condition.name), condition)
    return match


def path_expression(path: PathMatch, *, captured: Mapping[str, int] | None = None) -> str:
    """An expression for a path, template or prefix up to where its rest begins; the variables named are groups.

    The groups are numbered in the order of the path, as the caller counted them.
    """
    if path.text == "/":
        return "" if path.kind is PathKind.PREFIX else "/"
    groups = captured or {}
    return "/".join(
        (f"({SEGMENT})" if part[1:-1] in groups else SEGMENT) if part.startswith("{") else re.escape(part)
        for part in path.text.split("/")
    )


def _path_match(path: PathMatch) -> route_pb.RouteMatch:
    match = route_pb.RouteMatch()
    if path.kind is PathKind.REGEX:
        match.safe_regex.regex = path.text
    elif path.kind is PathKind.EXACT:
        match.path = path.text
    elif path.kind is PathKind.TEMPLATE:
        match.safe_regex.regex = path_expression(path)
    elif path.variables:
        match.safe_regex.regex = path_expression(path) + "(?:/.*)?"
    elif path.text == "/":
        match.prefix = "/"
    else:
        match.path_separated_prefix = path.text
    return match


def _exact(value: str) -> string_pb.StringMatcher:
    return string_pb.StringMatcher(exact=value)


def _prefix(value: str) -> string_pb.StringMatcher:
    return string_pb.StringMatcher(prefix=value)


def _suffix(value: str) -> string_pb.StringMatcher:
    return string_pb.StringMatcher(suffix=value)


def _contains(value: str) -> string_pb.StringMatcher:
    return string_pb.StringMatcher(contains=value)


def _regex(value: str) -> string_pb.StringMatcher:
    matcher = string_pb.StringMatcher()
    matcher.safe_regex.regex = value
    return matcher


MATCHERS: Mapping[TestKind, Callable[[str], string_pb.StringMatcher]] = {
    TestKind.EXACT: _exact,
    TestKind.PREFIX: _prefix,
    TestKind.SUFFIX: _suffix,
    TestKind.CONTAINS: _contains,
    TestKind.REGEX: _regex,
}


def _test(matcher: route_pb.HeaderMatcher | route_pb.QueryParameterMatcher, condition: Condition) -> None:
    if condition.kind in MATCHERS:
        matcher.string_match.CopyFrom(MATCHERS[condition.kind](condition.value))
    else:
        matcher.present_match = condition.kind is TestKind.PRESENT
