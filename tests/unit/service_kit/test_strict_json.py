import pytest

from service_kit.strict_json import strict_object


def test_an_object_is_what_it_says():
    assert strict_object(' {"a": {"b": [1, 2.5, null, "é"]}} ') == {"a": {"b": [1, 2.5, None, "é"]}}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param("null", id="null"),
        pytest.param("{} {}", id="two"),
        pytest.param("{'a': 1}", id="single-quotes"),
        pytest.param('{"a": 1,}', id="trailing-comma"),
        pytest.param('\ufeff{"a": 1}', id="byte-order-mark"),
        pytest.param('{"a": 1, "a": 1}', id="member-twice"),
        pytest.param('{"a": 1, "\\u0061": 2}', id="member-twice-in-two-spellings"),
        pytest.param('{"x": [{"a": 1, "a": 2}]}', id="member-twice-inside"),
        pytest.param('{"a": NaN}', id="nan"),
        pytest.param('{"a": [-Infinity]}', id="infinity"),
        pytest.param('{"a": ' + "9" * 5000 + "}", id="more-digits-than-a-number-may-have"),
        pytest.param('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", id="deeper-than-a-stack"),
    ],
)
def test_anything_else_is_refused(text: str):
    with pytest.raises(ValueError):
        strict_object(text)
