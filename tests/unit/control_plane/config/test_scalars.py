import pytest

from control_plane.config.scalars import BadScalar, plain_value, substituted

ENVIRON = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME}", "BYTES": "\udcff", "LINES": "a\nb\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain", "plain", id="no variable"),
        pytest.param("${NAME}", "value", id="alone"),
        pytest.param("a-${NAME}-b-${NAME}", "a-value-b-value", id="inside"),
        pytest.param("${NOPE:-default}", "default", id="default"),
        pytest.param("${NAME:-default}", "value", id="default not needed"),
        pytest.param("${EMPTY:-default}", "default", id="default stands in for empty"),
        pytest.param("${EMPTY}", "", id="empty"),
        pytest.param("${NOPE:-}", "", id="empty default"),
        pytest.param("${NOPE:-http://a:1/b?c=-}", "http://a:1/b?c=-", id="default with punctuation"),
        pytest.param("$${NAME}", "${NAME}", id="escaped"),
        pytest.param("$$${NAME}", "$${NAME}", id="escaped behind a dollar"),
        pytest.param("$NAME 5$ $$", "$NAME 5$ $$", id="bare dollars"),
        pytest.param("${NESTED}", "${NAME}", id="values are not substituted again"),
        pytest.param("${LINES}", "a\nb\n", id="line ends"),
    ],
)
def test_variables_are_replaced(text, expected):
    assert substituted(text, ENVIRON) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("${NOPE}", "the environment variable NOPE is not set", id="unset"),
        pytest.param("${}", "`${}` is no reference to a variable", id="no name"),
        pytest.param("${1A}", "`${1A}` is no reference to a variable", id="bad name"),
        pytest.param("${NAME-x}", "`${NAME-x}` is no reference to a variable", id="another shell form"),
        pytest.param("a${NAME", "`${` is never closed", id="unclosed"),
        pytest.param("${BYTES}", "the value holds control characters or is not valid UTF-8", id="not UTF-8"),
    ],
)
def test_references_that_stand_for_nothing(text, expected):
    with pytest.raises(BadScalar, match="^" + expected.replace("$", r"\$").replace("{", r"\{")):
        substituted(text, ENVIRON)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", None, id="empty"),
        pytest.param("~", None, id="tilde"),
        pytest.param("true", True, id="true"),
        pytest.param("Off", False, id="truth value of YAML 1.1"),
        pytest.param("y", "y", id="y"),
        pytest.param("12", 12, id="integer"),
        pytest.param("-1.5", -1.5, id="float"),
        pytest.param("9" * 5000, "9" * 5000, id="a number too long to be one"),
        pytest.param("0x1F", "0x1F", id="hexadecimal"),
        pytest.param("2026-01-01", "2026-01-01", id="date"),
        pytest.param("12:30:00", "12:30:00", id="sexagesimal"),
        pytest.param("1e3", "1e3", id="exponent"),
        pytest.param(".inf", ".inf", id="infinity"),
    ],
)
def test_unquoted_scalars_have_types(text, expected):
    value = plain_value(text)

    assert value == expected
    assert type(value) is type(expected)
