import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.identity_part import LONGEST_MODELS, LONGEST_PART, UnusablePart, identity_part, models_part


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        pytest.param("ada", "ada", id="plain"),
        pytest.param("ada@example.com,+/=\"'~!", "ada@example.com,+/=\"'~!", id="visible-ascii"),
        pytest.param("ada lovelace", "ada%20lovelace", id="space"),
        pytest.param("50%", "50%25", id="percent"),
        pytest.param("zoë", "zo%C3%AB", id="latin"),
        pytest.param("名", "%E5%90%8D", id="cjk"),
        pytest.param("a\r\nx-role: root", "a%0D%0Ax-role:%20root", id="header-injection"),
        pytest.param("\0", "%00", id="nul"),
        pytest.param("--", "--", id="two-signs-for-missing"),
        pytest.param(" -", "%20-", id="sign-for-missing-with-a-space"),
        pytest.param("a" * LONGEST_PART, "a" * LONGEST_PART, id="longest"),
    ],
)
def test_a_text_travels_as_visible_ascii(text: str, encoded: str):
    assert identity_part(text) == encoded


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("-", id="sign-for-missing"),
        pytest.param("a" * (LONGEST_PART + 1), id="too-long"),
        pytest.param("é" * 43, id="too-long-once-encoded"),
        pytest.param("\udc80", id="half-a-surrogate"),
    ],
)
def test_a_text_that_no_header_can_carry_is_refused(text: str):
    with pytest.raises(UnusablePart):
        identity_part(text)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_two_texts_never_meet_in_one_header(one: str, other: str):
    encoded = {text: identity_part(text) for text in (one, other) if text != "-"}

    assert len(set(encoded.values())) == len(encoded)
    assert all(value.isascii() and value.isprintable() and " " not in value for value in encoded.values())


@pytest.mark.parametrize(
    ("patterns", "part"),
    [
        pytest.param([], ",", id="none"),
        pytest.param(["mistral"], ",mistral,", id="one"),
        pytest.param(["org/b@v2", "*", "a:*", "a:*"], ",*,a:*,org/b@v2,", id="sorted-and-once"),
        pytest.param(["a" * 128] * 2, f",{'a' * 128},", id="longest-name"),
    ],
)
def test_models_stand_between_commas(patterns: list[str], part: str):
    assert models_part(patterns) == part


@pytest.mark.parametrize("pattern", ["", "a,b", "a b", "a**", "*a*", "a*b", "é", "a\r\nx: y", "a" * 129])
def test_what_is_no_pattern_of_models_is_refused(pattern: str):
    with pytest.raises(UnusablePart, match="no pattern of models"):
        models_part(["fine", pattern])


def test_a_list_of_models_has_an_end():
    fitting = [f"{number:03}{'x' * 60}" for number in range(LONGEST_MODELS // 64)]
    assert len(models_part(fitting[:-1])) <= LONGEST_MODELS

    with pytest.raises(UnusablePart, match="longer than"):
        models_part([*fitting, "one-more"])
