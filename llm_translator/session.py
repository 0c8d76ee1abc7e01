"""One call, from the first message of Envoy to the last: what is answered to each. It does no I/O.

A request is gathered, then sent on translated; an answer is passed on as it comes, or gathered where the client wants
it whole. What Envoy answers itself passes as it is: the gateway says its own errors in the client's dialect.
Only a direction's own end ends it: an answer that is cut off gets no last words, and whoever runs a session aborts the
call that ends before it `ended`.
"""

from collections.abc import Iterator
from enum import Enum, StrEnum
from http import HTTPStatus
from typing import Final

from llm_providers.asked import Untranslatable
from llm_providers.translation import FIRST_ERROR, UNUSABLE, Answered, Sent, Translator
from llm_translator import wire
from llm_translator.room import Room
from llm_translator.wire import FROM_UPSTREAM, Event, Head, Part, Side, Trailers

# Bytes: above the largest `body_limit` that a configuration may name, so that the gateway refuses first.
LARGEST_REQUEST: Final = 65 << 20

TOO_LARGE: Final = Untranslatable(
    "the request is too large to be translated", code="payload_too_large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
)
NO_ROOM: Final = Untranslatable(
    "too many large requests at once: try again",
    code="upstream_overloaded",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
)
NO_ANSWER: Final = Untranslatable("the upstream's answer is empty", code=UNUSABLE, status=HTTPStatus.BAD_GATEWAY)
NO_BODY: Final = Untranslatable("the request has no body", code="invalid_json")


class OutOfOrder(ValueError):  # noqa: N818 - what happened, not a kind of error
    """A message that does not follow upon the one before."""


class Outcome(StrEnum):
    """What came of a call."""

    TRANSLATED = "translated"
    # The upstream answered with an error, or with what makes no sense; the client was told in its own dialect.
    UPSTREAM_ERROR = "upstream_error"
    # The request could not be put in the upstream's dialect.
    REFUSED = "refused"
    # The answer needed no upstream.
    ANSWERED = "answered"
    # The gateway answered: the upstream is away or late.
    GATEWAY_ERROR = "gateway_error"
    # It ended before its answer did: the client or the upstream is gone.
    CUT = "cut"
    # A fault of this process.
    FAILED = "failed"


class State(Enum):
    """How far a call is."""

    ASKED = "the request is gathered"
    SENT = "the upstream is asked"
    WHOLE = "the answer is gathered"
    STREAM = "the answer is passed on as it comes"
    FOREIGN = "the answer is the gateway's own"
    ENDED = "the answer has ended"
    FAILED = "a fault ended the call"


class Session:
    """The state of one call; `close` gives back what it holds."""

    def __init__(self, translator: Translator, room: Room) -> None:
        self._translator = translator
        self._room = room
        self._state = State.ASKED
        self._path = ""
        self._body = bytearray()
        self._held = 0
        self._answer = bytearray()
        self._content_type = ""
        self.outcome = Outcome.CUT
        self.request_id = ""
        # What was refused, in a word, and the status of the answer.
        self.code = ""
        self.status = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be said."""
        return self._state is State.ENDED

    def written(self) -> None:
        """What was answered is on its way: a request that has been sent on takes no room any more."""
        if self._state is not State.ASKED:
            self.close()

    def close(self) -> None:
        self._room.give_back(self._held)
        self._held = 0
        self._body = bytearray()

    def fail(self) -> None:
        """After a fault: the call is over, and did not end."""
        self._state, self.outcome = State.FAILED, Outcome.FAILED

    def receive(self, event: Event) -> Iterator[bytes]:
        """The messages to answer with."""
        if self.ended:
            return iter(())  # the rest of what was refused
        return self._of_request(event) if event.side is Side.REQUEST else self._of_answer(event)

    def _of_request(self, event: Event) -> Iterator[bytes]:
        match event:
            case Head():
                return self._asked(event)
            case Part():
                return self._gathered(event.data, ends=event.ends)
            case Trailers():
                return self._begun(by_trailers=True)

    def _of_answer(self, event: Event) -> Iterator[bytes]:
        match event:
            case Head():
                return self._answering(event)
            case Part():
                return self._passed(event.data, ends=event.ends)
            case Trailers():
                return self._passed(b"", ends=True, by_trailers=True)

    # The request.

    def _asked(self, event: Head) -> Iterator[bytes]:
        self._path = event.fields.get(":path", "")
        self.request_id = event.fields.get("x-request-id", "")
        self._translator.asked_as(self.request_id)
        return self._begun(without_body=True) if event.ends else iter(())

    def _gathered(self, data: bytes, *, ends: bool) -> Iterator[bytes]:
        self._must_be(State.ASKED)
        if len(self._body) + len(data) > LARGEST_REQUEST:
            return self._refused(TOO_LARGE)
        if not self._room.take(len(data)):
            return self._refused(NO_ROOM)
        self._held += len(data)
        self._body += data
        return self._begun() if ends else iter(())

    def _begun(self, *, by_trailers: bool = False, without_body: bool = False) -> Iterator[bytes]:
        self._must_be(State.ASKED)
        asked, self._body = bytes(self._body), bytearray()
        try:
            sent = self._translator.begin(self._path, asked)
        except Untranslatable as problem:
            return self._refused(problem)
        if isinstance(sent, Answered):
            return self._answered(sent, Outcome.ANSWERED)
        if without_body:
            return self._refused(NO_BODY)
        self._state = State.SENT
        return _sent(sent, by_trailers=by_trailers)

    def _refused(self, problem: Untranslatable, outcome: Outcome = Outcome.REFUSED) -> Iterator[bytes]:
        self.code = problem.code
        return self._answered(self._translator.error(problem), outcome)

    def _answered(self, answered: Answered, outcome: Outcome) -> Iterator[bytes]:
        self._end(outcome, answered.status)
        return iter((wire.answer(answered),))

    # The answer.

    def _answering(self, event: Head) -> Iterator[bytes]:
        self._must_be(State.ASKED, State.SENT)
        status = int(event.fields.get(":status", "0"))
        if self._state is State.ASKED or event.details not in ("", FROM_UPSTREAM):
            return self._foreign(status, ends=event.ends)
        head = self._translator.head(status, event.fields.get("content-type", ""))
        if event.ends:
            return self._empty(whole=head.whole, content_type=head.content_type)
        self.status, self._content_type = head.status, head.content_type
        self._state = State.WHOLE if head.whole else State.STREAM
        return iter(()) if head.whole else iter((self._head(),))

    def _foreign(self, status: int, *, ends: bool) -> Iterator[bytes]:
        """The gateway's own answer, which may also come while the request is still being sent."""
        self._state, self.status = State.FOREIGN, status
        if ends:
            self._end(Outcome.GATEWAY_ERROR, status)
        return iter((wire.head(Side.RESPONSE, {}),))

    def _empty(self, *, whole: bool, content_type: str) -> Iterator[bytes]:
        """An answer without a body, to which Envoy adds none: it is replaced."""
        if not whole:
            return self._refused(NO_ANSWER, Outcome.UPSTREAM_ERROR)
        body = self._translator.end()
        return self._answered(Answered(body, self._translator.status, content_type), self._outcome())

    def _passed(self, data: bytes, *, ends: bool, by_trailers: bool = False) -> Iterator[bytes]:
        self._must_be(State.WHOLE, State.STREAM, State.FOREIGN)
        out = data if self._state is State.FOREIGN else self._translator.feed(data)
        if self._state is State.WHOLE:
            self._answer += out
            return self._whole(by_trailers=by_trailers) if ends else iter(())
        if not ends:
            return wire.body(Side.RESPONSE, out, ends=False)
        if self._state is State.STREAM:
            out += self._translator.end()
        return self._last(out, by_trailers=by_trailers)

    def _whole(self, *, by_trailers: bool) -> Iterator[bytes]:
        self._answer += self._translator.end()
        self.status = self._translator.status
        yield self._head()
        yield from self._last(bytes(self._answer), by_trailers=by_trailers)

    def _last(self, data: bytes, *, by_trailers: bool) -> Iterator[bytes]:
        self._end(Outcome.GATEWAY_ERROR if self._state is State.FOREIGN else self._outcome(), self.status)
        yield from wire.body(Side.RESPONSE, data, ends=not by_trailers)
        if by_trailers:
            yield wire.trailers(Side.RESPONSE)

    def _head(self) -> bytes:
        fields = {":status": str(self.status), "content-type": self._content_type}
        return wire.head(Side.RESPONSE, fields, removed=("content-length", "content-encoding"))

    def _outcome(self) -> Outcome:
        return Outcome.UPSTREAM_ERROR if self._translator.status >= FIRST_ERROR else Outcome.TRANSLATED

    def _end(self, outcome: Outcome, status: int) -> None:
        self._state, self.outcome, self.status = State.ENDED, outcome, status

    def _must_be(self, *states: State) -> None:
        if self._state not in states:
            raise OutOfOrder(f"a message out of its order: {self._state.value}")


def _sent(sent: Sent, *, by_trailers: bool) -> Iterator[bytes]:
    fields = {":path": sent.path, **dict(sent.headers)}
    yield wire.head(Side.REQUEST, fields, removed=("content-length", "content-encoding"))
    yield from wire.body(Side.REQUEST, sent.body, ends=not by_trailers)
    if by_trailers:
        yield wire.trailers(Side.REQUEST)
