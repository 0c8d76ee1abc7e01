"""Whether two sets of conditions can hold for one request that names each header and parameter once.

One that repeats a header may meet several: Envoy tests each of its values. Then the order of names decides.
"""

from collections.abc import Callable, Iterable
from itertools import product

import re2

from control_plane.ir.model import Condition, Route, TestKind

# Whether a value passes a test that looks at the value.
PASSES: dict[TestKind, Callable[[str, str], bool]] = {
    TestKind.EXACT: lambda value, wanted: value == wanted,
    TestKind.PREFIX: lambda value, wanted: value.startswith(wanted),
    TestKind.SUFFIX: lambda value, wanted: value.endswith(wanted),
    TestKind.CONTAINS: lambda value, wanted: wanted in value,
    TestKind.REGEX: lambda value, wanted: re2.fullmatch(wanted, value) is not None,
    TestKind.PRESENT: lambda _value, _wanted: True,
    TestKind.ABSENT: lambda _value, _wanted: False,
}


def exclude_each_other(first: Iterable[Condition], second: Iterable[Condition]) -> bool:
    """Whether no request can meet both: some name is tested in two ways of which only one can hold."""
    return any(one.name == other.name and _contradict(one, other) for one, other in product(first, second))


def are_told_apart(first: Route, second: Route) -> bool:
    """Whether no request can meet what both ask of headers, query, body and the caller's plan."""
    return (
        exclude_each_other(first.headers, second.headers)
        or exclude_each_other(first.query, second.query)
        or _ask_for_different_models(first, second)
        or _of_different_plans(first, second)
    )


def _ask_for_different_models(first: Route, second: Route) -> bool:
    one, other = first.asked, second.asked
    if one is None or other is None or not (asks_for_a_model(first) and asks_for_a_model(second)):
        return False
    return set(one.names).isdisjoint(other.names) and not (one.unnamed and other.unnamed)


def asks_for_a_model(route: Route) -> bool:
    """Whether the route takes requests by what their bodies say, and not those that no other one takes."""
    return route.asked is not None and (bool(route.asked.names) or route.asked.unnamed)


def _of_different_plans(first: Route, second: Route) -> bool:
    return bool(first.of_plans and second.of_plans) and set(first.of_plans or ()).isdisjoint(second.of_plans or ())


def _contradict(one: Condition, other: Condition) -> bool:
    if one.kind is TestKind.EXACT:
        return not PASSES[other.kind](one.value, other.value)
    if other.kind is TestKind.EXACT:
        return _contradict(other, one)
    if TestKind.ABSENT in (one.kind, other.kind):
        return one.kind is not other.kind
    if (one.kind, other.kind) == (TestKind.PREFIX, TestKind.PREFIX):
        return not (one.value.startswith(other.value) or other.value.startswith(one.value))
    if (one.kind, other.kind) == (TestKind.SUFFIX, TestKind.SUFFIX):
        return not (one.value.endswith(other.value) or other.value.endswith(one.value))
    return False
