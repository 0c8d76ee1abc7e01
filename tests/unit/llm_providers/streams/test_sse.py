import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_providers.streams.lines import LineTooLong
from llm_providers.streams.sse import Event, SseDecoder, sse_event


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\n", [Event(b"a")], id="one"),
        pytest.param(b"data:a\n\n", [Event(b"a")], id="no blank behind the colon"),
        pytest.param(b"data:  a\n\n", [Event(b" a")], id="one blank is taken, not two"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\r", [Event(b"a"), Event(b"b")], id="every end of a line"),
        pytest.param(b"data: a\ndata: b\n\n", [Event(b"a\nb")], id="data of two lines"),
        pytest.param(b": ping\n\ndata: a\n\n", [Event(b"a")], id="comments are no events"),
        pytest.param(b"event: error\nid: 3\nretry: 5\ndata: a\n\n", [Event(b"a", "error")], id="a name"),
        pytest.param(b"event: error\n\ndata: a\n\n", [Event(b"a")], id="a name without data is forgotten"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")], id="byte order mark"),
        pytest.param(b"data: a", [Event(b"a")], id="the last one has no end"),
        pytest.param(b"data\n\n", [Event(b"")], id="a field without a colon is empty"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_events(stream: bytes, events: list[Event]) -> None:
    assert decoded([stream]) == events
    assert decoded([stream[at : at + 1] for at in range(len(stream))]) == events


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=6)))
def test_any_bytes_in_any_chunks_are_the_events_of_all_of_them(chunks: list[bytes]) -> None:
    assert decoded(chunks) == decoded([b"".join(chunks)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"data: x", b"data", b":", b"\xef\xbb\xbf", b"event: e"])))
def test_ends_of_lines_are_found_wherever_they_are_split(chunks: list[bytes]) -> None:
    assert decoded(chunks) == decoded([b"".join(chunks)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)))
def test_what_is_encoded_is_decoded(texts: list[str]) -> None:
    assert decoded([sse_event(text.encode()) for text in texts]) == [Event(text.encode()) for text in texts]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"a" * 11, id="one line"),
        pytest.param(b"data: aaaaaa\ndata: aaaaaa\n", id="lines of one event"),
        pytest.param(b"a" * 20, id="no field"),
    ],
)
def test_an_event_has_a_longest(stream: bytes) -> None:
    decoder = SseDecoder(limit=10)

    with pytest.raises(LineTooLong, match="more than"):
        list(decoder.feed(stream))


def test_events_before_one_that_is_too_long_are_told() -> None:
    decoder = SseDecoder(limit=10)
    events = decoder.feed(b"data: a\n\ndata: " + b"b" * 30)

    assert next(events) == Event(b"a")
    with pytest.raises(LineTooLong):
        next(events)


def decoded(chunks: list[bytes]) -> list[Event]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + list(decoder.end())
