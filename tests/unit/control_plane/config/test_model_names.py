"""Names of models and patterns of them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.config.values.base import Mistake
from control_plane.config.values.models import (
    MODEL_PATTERN,
    PARAMETER_PATTERN,
    WILD_PATTERN,
    matches,
    model_name,
    model_pattern,
    parameter,
    patterns_of,
)  # fmt: skip

GOOD = ("a", "llama3.1:8b-instruct-q4_K_M", "org/model@v2", "hf.co/a/B-GGUF:Q4_0", "a+b", "x" * 128, "x_")
BAD = ("", "-a", ":a", "a:", "a b", "a,b", "a~b", "é", "a\n", "a%2F", 'a"', "x" * 129)


@pytest.mark.parametrize("name", GOOD)
def test_names_that_servers_give(name: str) -> None:
    assert model_name(name) == model_pattern(name) == name
    assert re.fullmatch(WILD_PATTERN, name)


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(Mistake, match="is no name of a model"):
        model_name(name)


@pytest.mark.parametrize("pattern", ["*", "llama3.1:*", "*-embed", "org/*"])
def test_patterns(pattern: str) -> None:
    assert model_pattern(pattern) == pattern
    assert re.fullmatch(WILD_PATTERN, pattern)
    with pytest.raises(Mistake):
        model_name(pattern)


@pytest.mark.parametrize("pattern", ["**", "a*b", "*a*", "a **", "é*", ",*", "x" * 128 + "*"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(Mistake, match="is no pattern of models"):
        model_pattern(pattern)
    assert not re.fullmatch(WILD_PATTERN, pattern)


@pytest.mark.parametrize(
    ("pattern", "taken", "not_taken"),
    [
        ("a", ["a"], ["ab", "", "A"]),
        ("*", ["a", "a/b:c"], []),
        ("a*", ["a", "ab"], ["b", "ba"]),
        ("*a", ["a", "ba"], ["ab", "b"]),
        ("a.c*", ["a.c"], ["abc"]),
    ],
)
def test_a_pattern_takes_names(pattern: str, taken: list[str], not_taken: list[str]) -> None:
    assert [name for name in (*taken, *not_taken) if matches(pattern, name)] == taken


@given(name=st.from_regex(MODEL_PATTERN, fullmatch=True), pattern=st.from_regex(WILD_PATTERN, fullmatch=True))
def test_a_name_has_every_pattern_that_takes_it_and_no_other(name: str, pattern: str) -> None:
    spellings = patterns_of(name)

    assert all(matches(spelling, name) for spelling in spellings)
    assert (pattern in spellings) == matches(pattern, name)


@pytest.mark.parametrize(("name", "good"), [("logit_bias", True), ("top_k", True), ("a.b", False), ("", False)])
def test_parameters(name: str, good: bool) -> None:
    assert (re.fullmatch(PARAMETER_PATTERN, name) is not None) is good
    if good:
        assert parameter(name) == name
        return
    with pytest.raises(Mistake):
        parameter(name)
