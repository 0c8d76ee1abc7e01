import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_providers.streams.lines import LineTooLong
from llm_providers.streams.ndjson import NdjsonDecoder, ndjson_line


@pytest.mark.parametrize(
    ("stream", "objects"),
    [
        pytest.param(b'{"a":1}\n{"b":2}\n', [{"a": 1}, {"b": 2}], id="two"),
        pytest.param(b'{"a":1}\r\n', [{"a": 1}], id="CR LF"),
        pytest.param(b'\n  \n{"a":1}\n\n', [{"a": 1}], id="blank lines"),
        pytest.param(b'{"a":1}', [{"a": 1}], id="the last one has no end"),
        pytest.param('{"a":"\u2028\x0b"}\n'.encode().replace(b"\x0b", b"\\u000b"), [{"a": "\u2028\x0b"}], id="LF only"),
    ],
)
def test_objects(stream: bytes, objects: list[object]) -> None:
    assert decoded([stream]) == objects
    assert decoded([stream[at : at + 1] for at in range(len(stream))]) == objects


@pytest.mark.parametrize("line", [b"[]", b"nought", b'{"a":1,"a":1}', b"\xff", b"{" * 5000, b'{"a":NaN}'])
def test_a_line_that_is_no_object_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decoded([line + b"\n"])


def test_a_line_has_a_longest() -> None:
    with pytest.raises(LineTooLong):
        list(NdjsonDecoder(limit=10).feed(b'{"a":"bbbbbbbbbb'))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans())))
def test_what_is_encoded_is_decoded(objects: list[dict[str, object]]) -> None:
    assert decoded([ndjson_line(value) for value in objects]) == objects


def decoded(chunks: list[bytes]) -> list[dict[str, object]]:
    decoder = NdjsonDecoder()
    return [value for chunk in chunks for value in decoder.feed(chunk)] + list(decoder.end())
