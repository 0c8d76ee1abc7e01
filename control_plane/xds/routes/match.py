"""Which requests a route takes: path, method, headers and query parameters, as Envoy tests them.

Envoy tests a path without its query, each value of a repeated header by itself, and of a repeated parameter the first
value; parameters are not decoded.
"""

import re
from collections.abc import Callable, Mapping

from envoy.config.route.v3 import route_components_pb2 as route_pb
from envoy.type.matcher.v3 import string_pb2 as string_pb

from control_plane.ir.model import Condition, PathKind, PathMatch, Route, TestKind

# What a variable takes: one whole segment, and not an empty one.
SEGMENT = "[^/]+"


def route_match(route: Route) -> route_pb.RouteMatch:
    """The route's match."""
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
