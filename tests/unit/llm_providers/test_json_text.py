import pytest

from llm_providers.json_text import json_bytes, json_string, read_object


def test_half_of_a_surrogate_pair_is_written_escaped() -> None:
    assert json_bytes(read_object(rb'{"a":"\ud800"}')) == rb'{"a":"\ud800"}'
    assert json_bytes({"a": "é"}) == '{"a":"é"}'.encode()


def test_infinity_is_no_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes(read_object(b'{"a":1e999}'))


@pytest.mark.parametrize("depth", [10, 900, 990, 100_000])
def test_what_is_too_deep_is_a_value_error_or_written(depth: int) -> None:
    text = '{"a":' * depth + "1" + "}" * depth
    try:
        assert json_string(read_object(text)) == text
    except ValueError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017 - either outcome will do
