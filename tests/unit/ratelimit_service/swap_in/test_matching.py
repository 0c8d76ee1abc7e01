"""Which rule a descriptor finds, how it is counted, and what metrics call it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.swap_in.matching import match
from ratelimit_service.swap_in.request import Descriptor
from ratelimit_service.swap_in.rules import Pattern
from tests.support.swap_in import rules_of

# Every rule has a number of requests of its own, by which it is recognised.
RULES = rules_of("""
    domain: shop
    descriptors:
      - {key: word, value: foo*, rate_limit: {unit: day, requests_per_unit: 1}}
      - {key: word, value: "*", rate_limit: {unit: day, requests_per_unit: 2}}
      - {key: word, value: foo1, rate_limit: {unit: day, requests_per_unit: 3}}
      - {key: mid, value: a*b, rate_limit: {unit: day, requests_per_unit: 4}}
      - {key: many, value: a*b*c*, rate_limit: {unit: day, requests_per_unit: 5}}
      - key: deep
        value: x
        descriptors: [{key: leaf, value: 1, rate_limit: {unit: day, requests_per_unit: 6}}]
      - key: deep
        descriptors: [{key: leaf, rate_limit: {unit: day, requests_per_unit: 7}}]
      - key: seen
        value_to_metric: true
        descriptors:
          - key: leaf
            value: r*
            value_to_metric: true
            rate_limit: {unit: day, requests_per_unit: 8}
          - {key: leaf, detailed_metric: true, rate_limit: {unit: day, requests_per_unit: 9}}
      - key: shared
        value: f/*
        share_threshold: true
        value_to_metric: true
        descriptors:
          - {key: shared, value: g/*, share_threshold: true, rate_limit: {unit: day, requests_per_unit: 10}}
          - {key: leaf, detailed_metric: true, rate_limit: {unit: day, requests_per_unit: 11}}
""")


def found(*entries):
    return match(RULES, "shop", Descriptor(tuple(tuple(entry.split("=")) for entry in entries)))


@pytest.mark.parametrize(
    ("entries", "requests"),
    [
        (["word=foo1"], 3), (["word=foo"], 1), (["word=foo12"], 1), (["word=fo"], 2), (["word="], 2),
        (["mid=ab"], 4), (["mid=a-b"], 4), (["mid=a"], None), (["mid=ba"], None), (["mid=abx"], None),
        (["many=abc"], 5), (["many=a1b2c3"], 5), (["many=acb"], None), (["many=abb"], None), (["many=xabc"], None),
        (["deep=x", "leaf=1"], 6), (["deep=x", "leaf=2"], None), (["deep=y", "leaf=2"], 7),
        (["deep=y"], None), (["leaf=2"], None), (["leaf=2", "deep=y"], None), ([], None),
    ],
)  # fmt: skip
def test_the_most_specific_rule_of_each_level(entries, requests):
    rule = found(*entries)

    assert (rule and rule.rule.limit.requests) == requests


@pytest.mark.parametrize(
    ("entries", "metric", "named_by_request"),
    [
        (["word=foo1"], "shop.word_foo1", False),
        (["word=foo2"], "shop.word_foo*", False),
        (["deep=y", "leaf=2"], "shop.deep.leaf", False),
        (["deep=x", "leaf=1"], "shop.deep_x.leaf_1", False),
        (["seen=p", "leaf=ra"], "shop.seen_p.leaf_ra", True),
        (["seen=p", "leaf=a"], "shop.seen_p.leaf_a", True),
        (["shared=f/1", "shared=g/2"], "shop.shared_f/*.shared_g/*", False),
        (["shared=f/1", "leaf=z"], "shop.shared_f/*.leaf_z", True),
    ],
)
def test_names_of_metrics(entries, metric, named_by_request):
    rule = found(*entries)

    assert (rule.metric, rule.named_by_request) == (metric, named_by_request)


def test_what_shares_a_threshold_is_counted_by_its_pattern():
    assert found("shared=f/1", "shared=g/2").counted == (("shared", "f/*"), ("shared", "g/*"))
    assert found("shared=f/1", "leaf=z").counted == (("shared", "f/*"), ("leaf", "z"))
    assert found("word=foo2").counted == (("word", "foo2"),)


@settings(deadline=None)  # a busy machine is no fault
@given(st.text("ab*", max_size=6).map(lambda text: text.split("*")).filter(lambda parts: len(parts) > 1), st.text("ab"))
def test_each_wildcard_stands_for_anything(parts, value):
    expected = re.fullmatch(".*".join(map(re.escape, parts)), value) is not None

    assert Pattern(tuple(parts), None).matches(value) == expected
