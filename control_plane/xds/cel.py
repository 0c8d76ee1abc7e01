"""Conditions in the Common Expression Language, for what no matcher of Envoy's can compare: lengths and numbers.

Envoy takes expressions as syntax trees. A condition that cannot be computed, of a claim that is missing or of another
type than it must be, does not hold.
"""

from functools import reduce

from google.api.expr.v1alpha1 import syntax_pb2 as syntax_pb


def text(value: str) -> syntax_pb.Expr:
    """A text."""
    return syntax_pb.Expr(const_expr=syntax_pb.Constant(string_value=value))


def whole(value: int) -> syntax_pb.Expr:
    """An integer, as sizes are."""
    return syntax_pb.Expr(const_expr=syntax_pb.Constant(int64_value=value))


def number(value: float) -> syntax_pb.Expr:
    """A number, as those of JSON are."""
    return syntax_pb.Expr(const_expr=syntax_pb.Constant(double_value=value))


def call(function: str, *arguments: syntax_pb.Expr) -> syntax_pb.Expr:
    """A function or operator, by the name that the language gives it."""
    return syntax_pb.Expr(call_expr=syntax_pb.Expr.Call(function=function, args=arguments))


def attribute(name: str, field: str) -> syntax_pb.Expr:
    """An attribute of the request."""
    operand = syntax_pb.Expr(ident_expr=syntax_pb.Expr.Ident(name=name))
    return syntax_pb.Expr(select_expr=syntax_pb.Expr.Select(operand=operand, field=field))


def item(container: syntax_pb.Expr, key: str) -> syntax_pb.Expr:
    """What a map holds under a key."""
    return call("_[_]", container, text(key))


def holds(container: syntax_pb.Expr, key: str) -> syntax_pb.Expr:
    """Whether a map has a key."""
    return call("@in", text(key), container)


def lacks(container: syntax_pb.Expr, key: str) -> syntax_pb.Expr:
    """Whether a map has no such key."""
    return call("!_", holds(container, key))


def either(first: syntax_pb.Expr, second: syntax_pb.Expr) -> syntax_pb.Expr:
    """Whether one of the two holds."""
    return call("_||_", first, second)


def every(*conditions: syntax_pb.Expr) -> syntax_pb.Expr:
    """Whether all hold."""
    return reduce(lambda first, second: call("_&&_", first, second), conditions)


def at_most(value: syntax_pb.Expr, bound: syntax_pb.Expr) -> syntax_pb.Expr:
    """Whether a value is no more than a bound of its type."""
    return call("_<=_", value, bound)


def plus(first: syntax_pb.Expr, second: syntax_pb.Expr) -> syntax_pb.Expr:
    """The sum of two numbers."""
    return call("_+_", first, second)


def minus(first: syntax_pb.Expr, second: syntax_pb.Expr) -> syntax_pb.Expr:
    """The difference of two numbers."""
    return call("_-_", first, second)


def now() -> syntax_pb.Expr:
    """When the request came, in whole seconds since the epoch, rounded down."""
    return call("double", call("int", attribute("request", "time")))
