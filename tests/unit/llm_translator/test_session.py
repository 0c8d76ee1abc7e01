"""What a session answers to each message of Envoy, for whatever order of them."""

import json

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc_pb

from llm_providers.translation import Call
from llm_translator import session as sessions
from llm_translator.room import Room
from llm_translator.session import Outcome, OutOfOrder, Session
from llm_translator.target import Target
from llm_translator.wire import Event, Head, Part, Side, Trailers
from tests.support.clock import StillClock

ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Why?"}]}).encode()
STREAMED = json.dumps({**json.loads(ASKED), "stream": True}).encode()
PATH = Head(Side.REQUEST, {":path": "/v1/chat/completions", "x-request-id": "r1"})
OK = Head(Side.RESPONSE, {":status": "200", "content-type": "application/json"})
LINES = Head(Side.RESPONSE, {":status": "200", "content-type": "application/x-ndjson"})
WHOLE = b'{"message":{"content":"So."},"done":true,"done_reason":"stop"}'
FIRST = b'{"message":{"content":"So."},"done":false}\n'
LAST = b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n'


def session(room: Room | None = None) -> Session:
    call = Call(StillClock(), "1")
    return Session(Target("openai", "ollama-native").translator(call), room or Room())


def said(found: Session, *events: Event) -> list[ext_proc_pb.ProcessingResponse]:
    answers = []
    for event in events:
        answers += [ext_proc_pb.ProcessingResponse.FromString(raw) for raw in found.receive(event)]
        found.written()
    return answers


def kinds(answers: list[ext_proc_pb.ProcessingResponse]) -> list[str]:
    return [answer.WhichOneof("response") for answer in answers]


def fields(answer: ext_proc_pb.ProcessingResponse) -> dict[str, str]:
    """The headers that it sets."""
    part = getattr(answer, answer.WhichOneof("response"))
    mutation = part.headers if answer.HasField("immediate_response") else part.response.header_mutation
    return {option.header.key: option.header.raw_value.decode() for option in mutation.set_headers}


def body(answers: list[ext_proc_pb.ProcessingResponse]) -> bytes:
    """The bodies of all, of which the last one alone may end the direction."""
    pieces = [
        getattr(answer, answer.WhichOneof("response")).response.body_mutation.streamed_response
        for answer in answers
        if answer.WhichOneof("response") in ("request_body", "response_body")
    ]
    assert not any(piece.end_of_stream for piece in pieces[:-1])
    return b"".join(piece.body for piece in pieces)


def ends(answer: ext_proc_pb.ProcessingResponse) -> bool:
    part = getattr(answer, answer.WhichOneof("response"))
    return bool(part.response.body_mutation.streamed_response.end_of_stream)


def sent(streamed: bool = False) -> Session:
    found = session()
    said(found, PATH, Part(Side.REQUEST, STREAMED if streamed else ASKED, ends=True))
    return found


def test_nothing_is_said_before_the_whole_request_is_there():
    found = session()

    assert said(found, PATH, Part(Side.REQUEST, ASKED[:10]), Part(Side.REQUEST, ASKED[10:])) == []
    head, *rest = said(found, Part(Side.REQUEST, b"", ends=True))

    assert fields(head)[":path"] == "/api/chat"
    assert fields(head)["content-type"] == "application/json"
    assert json.loads(body(rest))["messages"] == [{"role": "user", "content": "Why?"}]
    assert ends(rest[-1])
    assert not found.ended


def test_trailers_end_a_request():
    answers = said(session(), PATH, Part(Side.REQUEST, ASKED), Trailers(Side.REQUEST))

    assert kinds(answers) == ["request_headers", "request_body", "request_trailers"]
    assert not ends(answers[1])


def test_a_whole_answer_waits_for_its_end():
    found = sent()

    assert said(found, OK, Part(Side.RESPONSE, WHOLE[:9]), Part(Side.RESPONSE, WHOLE[9:])) == []
    head, *rest = said(found, Part(Side.RESPONSE, b"", ends=True))

    assert fields(head) == {":status": "200", "content-type": "application/json"}
    assert json.loads(body(rest))["choices"][0]["message"]["content"] == "So."
    assert ends(rest[-1])
    assert (found.ended, found.outcome, found.request_id) == (True, Outcome.TRANSLATED, "r1")


def test_a_stream_passes_as_it_comes():
    found = sent(streamed=True)

    (head,) = said(found, LINES)
    assert fields(head) == {":status": "200", "content-type": "text/event-stream"}
    assert said(found, Part(Side.RESPONSE, FIRST[:9])) == []
    first = said(found, Part(Side.RESPONSE, FIRST[9:]))
    assert b"So." in body(first)
    assert not ends(first[-1])
    assert not found.ended

    last = said(found, Part(Side.RESPONSE, LAST, ends=True))
    assert body(last).endswith(b"data: [DONE]\n\n")
    assert ends(last[-1])
    assert found.ended


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_trailers_end_an_answer(streamed):
    found = sent(streamed=streamed)

    answers = said(
        found, LINES if streamed else OK, Part(Side.RESPONSE, LAST if streamed else WHOLE), Trailers(Side.RESPONSE)
    )

    assert kinds(answers)[0] == "response_headers"
    assert kinds(answers)[-1] == "response_trailers"
    assert not any(ends(answer) for answer in answers[:-1])
    assert found.ended


def test_an_error_of_the_upstream_is_told_in_the_clients_dialect():
    found = sent(streamed=True)
    problem = Head(Side.RESPONSE, {":status": "404", "content-type": "application/json"})

    answers = said(found, problem, Part(Side.RESPONSE, b'{"error":"no such model"}', ends=True))

    assert fields(answers[0]) == {":status": "404", "content-type": "application/json"}
    assert json.loads(body(answers))["error"]["message"] == "no such model"
    assert (found.outcome, found.status) == (Outcome.UPSTREAM_ERROR, 404)


@pytest.mark.parametrize("details", ["upstream_reset_before_response_started{connection_failure}", "overload"])
def test_the_gateways_own_errors_pass_as_they_are(details):
    found = sent()
    problem = Head(Side.RESPONSE, {":status": "503", "content-type": "application/json"}, details=details)

    answers = said(found, problem, Part(Side.RESPONSE, b'{"of": '), Part(Side.RESPONSE, b'"ours"}', ends=True))

    assert fields(answers[0]) == {}
    assert body(answers) == b'{"of": "ours"}'
    assert ends(answers[-1])
    assert (found.ended, found.outcome, found.status) == (True, Outcome.GATEWAY_ERROR, 503)


def test_the_gateway_may_answer_while_a_request_is_being_sent():
    found = session()
    early = Head(Side.RESPONSE, {":status": "408"}, details="request_overall_timeout")

    answers = said(found, PATH, Part(Side.REQUEST, b"{"), early, Part(Side.RESPONSE, b"late", ends=True))

    assert body(answers) == b"late"
    assert found.ended


def test_the_gateway_may_answer_with_a_head_alone():
    found = session()

    assert kinds(said(found, PATH, Head(Side.RESPONSE, {":status": "408"}, ends=True))) == ["response_headers"]
    assert found.ended


def test_what_the_upstream_says_as_itself_is_translated():
    found = sent()
    head = Head(Side.RESPONSE, OK.fields, details="via_upstream")

    assert json.loads(body(said(found, head, Part(Side.RESPONSE, WHOLE, ends=True))))["object"] == "chat.completion"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_an_answer_without_a_body_is_replaced(streamed):
    found = sent(streamed=streamed)

    (answer,) = said(found, Head(Side.RESPONSE, (LINES if streamed else OK).fields, ends=True))

    assert answer.immediate_response.status.code == 502
    assert "upstream" in json.loads(answer.immediate_response.body)["error"]["message"]
    assert (found.ended, found.outcome) == (True, Outcome.UPSTREAM_ERROR)


@pytest.mark.parametrize(
    ("asked", "code"),
    [(b"{", "invalid_json"), (b'{"model":"m","messages":[],"n":2}', "unsupported_parameter")],
    ids=["no object", "a parameter"],
)
def test_what_cannot_be_translated_is_refused(asked, code):
    found = session()

    (answer,) = said(found, PATH, Part(Side.REQUEST, asked, ends=True))

    assert answer.immediate_response.status.code == 400
    assert json.loads(answer.immediate_response.body)["error"]["code"] == found.code == code
    assert (found.ended, found.outcome, found.status) == (True, Outcome.REFUSED, 400)


def test_another_path_is_not_found():
    found = session()

    (answer,) = said(found, Head(Side.REQUEST, {":path": "/v1/audio"}), Part(Side.REQUEST, ASKED, ends=True))

    assert answer.immediate_response.status.code == 404


def test_a_request_without_a_body_is_refused():
    (answer,) = said(session(), Head(Side.REQUEST, PATH.fields, ends=True))

    assert answer.immediate_response.status.code == 400


def test_a_request_that_is_too_large_is_refused_before_its_end(monkeypatch):
    monkeypatch.setattr(sessions, "LARGEST_REQUEST", 10)
    room = Room()
    found = session(room)

    (answer,) = said(found, PATH, Part(Side.REQUEST, b"12345"), Part(Side.REQUEST, b"678901"))

    assert answer.immediate_response.status.code == 413
    assert json.loads(answer.immediate_response.body)["error"]["code"] == "payload_too_large"
    assert said(found, Part(Side.REQUEST, b"more"), Part(Side.REQUEST, b"", ends=True)) == []
    assert room.taken == 0


def test_requests_share_the_room_that_there_is():
    room = Room(len(ASKED) + 5)
    first, second = session(room), session(room)
    said(first, PATH, Part(Side.REQUEST, ASKED))

    (answer,) = said(second, PATH, Part(Side.REQUEST, ASKED))
    assert answer.immediate_response.status.code == 503
    assert second.code == "upstream_overloaded"

    said(first, Part(Side.REQUEST, b"", ends=True))
    assert room.taken == 0
    assert kinds(said(session(room), PATH, Part(Side.REQUEST, ASKED, ends=True)))[0] == "request_headers"


def test_a_request_takes_room_until_it_has_been_sent_on():
    room = Room()
    found = session(room)
    said(found, PATH)
    assert list(found.receive(Part(Side.REQUEST, ASKED, ends=True)))
    assert room.taken == len(ASKED)

    found.written()

    assert room.taken == 0


def test_a_session_that_is_closed_holds_nothing():
    room = Room()
    found = session(room)
    said(found, PATH, Part(Side.REQUEST, ASKED))
    assert room.taken == len(ASKED)

    found.close()
    found.close()

    assert room.taken == 0
    assert (found.ended, found.outcome) == (False, Outcome.CUT)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((Part(Side.RESPONSE, b""),), id="a body without a head"),
        pytest.param((OK, OK), id="two heads"),
        pytest.param((OK, Part(Side.REQUEST, b"")), id="a request behind its end"),
    ],
)
def test_messages_out_of_order(events):
    found = sent()

    with pytest.raises(OutOfOrder):
        said(found, *events)


def test_a_fault_ends_no_answer():
    found = sent()

    found.fail()

    assert (found.ended, found.outcome) == (False, Outcome.FAILED)
