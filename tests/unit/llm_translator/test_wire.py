"""Envoy's messages, read and written."""

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb
from google.protobuf.struct_pb2 import Struct

from llm_providers.translation import Answered
from llm_translator import wire
from llm_translator.wire import FILTER, PIECE, Head, Part, Side, Trailers, Unreadable, read


def message(**members) -> bytes:
    return ext_proc_pb.ProcessingRequest(**members).SerializeToString()


def headers(ends: bool = False, **values: bytes) -> ext_proc_pb.HttpHeaders:
    found = ext_proc_pb.HttpHeaders(end_of_stream=ends)
    for name, value in values.items():
        found.headers.headers.add(key=name, raw_value=value)
    return found


def answered(raw: bytes) -> ext_proc_pb.ProcessingResponse:
    return ext_proc_pb.ProcessingResponse.FromString(raw)


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        pytest.param(
            message(request_headers=headers(a=b"1", b=b"\xe4")), Head(Side.REQUEST, {"a": "1", "b": "\xe4"}), id="head"
        ),
        pytest.param(message(request_headers=headers(ends=True)), Head(Side.REQUEST, {}, ends=True), id="only a head"),
        pytest.param(message(response_headers=headers(a=b"1")), Head(Side.RESPONSE, {"a": "1"}), id="answer's head"),
        pytest.param(message(request_body={"body": b"a"}), Part(Side.REQUEST, b"a"), id="body"),
        pytest.param(
            message(response_body={"end_of_stream": True}), Part(Side.RESPONSE, b"", ends=True), id="answer's end"
        ),
        pytest.param(message(request_trailers={}), Trailers(Side.REQUEST), id="trailers"),
        pytest.param(message(response_trailers={}), Trailers(Side.RESPONSE), id="answer's trailers"),
    ],
)
def test_what_envoy_says(raw, event):
    assert read(raw) == event


def test_who_made_an_answer():
    attributes = Struct()
    attributes["response.code_details"] = "upstream_reset"

    event = read(message(response_headers=headers(), attributes={FILTER: attributes}))

    assert isinstance(event, Head)
    assert event.details == "upstream_reset"


@pytest.mark.parametrize("raw", [b"", b"\xff", message(observability_mode=True)], ids=["nothing", "noise", "no part"])
def test_what_is_no_part_of_a_call(raw):
    with pytest.raises(Unreadable):
        read(raw)


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("ends", [False, True])
def test_a_body_goes_in_pieces_and_its_last_one_ends_it(size, ends):
    data = bytes(range(256)) * (size // 256 + 1)
    pieces = [
        answered(raw).response_body.response.body_mutation.streamed_response
        for raw in wire.body(Side.RESPONSE, data[:size], ends=ends)
    ]

    assert b"".join(piece.body for piece in pieces) == data[:size]
    assert [piece.end_of_stream for piece in pieces] == [False] * (len(pieces) - ends) + [True] * ends
    assert all(len(piece.body) <= PIECE for piece in pieces)


def test_a_head_replaces_what_it_names():
    mutation = answered(wire.head(Side.REQUEST, {":path": "/a"}, ["b"])).request_headers.response.header_mutation

    (option,) = mutation.set_headers
    assert (option.header.key, option.header.raw_value) == (":path", b"/a")
    assert option.append_action == option.OVERWRITE_IF_EXISTS_OR_ADD
    assert list(mutation.remove_headers) == ["b"]


def test_an_answer_in_place_of_the_upstreams():
    immediate = answered(wire.answer(Answered(b"{}", 413))).immediate_response

    assert (immediate.status.code, immediate.body, immediate.details) == (413, b"{}", "translator")
    assert immediate.headers.set_headers[0].header.raw_value == b"application/json"
