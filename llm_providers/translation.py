"""A call from one dialect to another: a request becomes a plan, and the answer is read and written by that plan.

A translator is one call's state and does no I/O. It raises `Untranslatable` for a client's request and never for what
an upstream says: nonsense becomes an error in the client's dialect.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, Protocol

from llm_providers.answers import BAD_GATEWAY, Failed, Failure, Reader, Said, Writer
from llm_providers.asked import Asked, Untranslatable, asked
from llm_providers.json_text import json_bytes, read_object
from service_kit.clock import Clock

JSON: Final = "application/json"
# A translator reads the answer, so it must come uncompressed.
SENT_HEADERS: Final = (("content-type", JSON), ("accept-encoding", "identity"))
MAX_WHOLE: Final = 64 << 20
MAX_ERROR: Final = 1 << 16
FIRST_ERROR: Final = 400
# What the gateway's own errors say of an answer that is none.
UNUSABLE: Final = "upstream_unreachable"


@dataclass(frozen=True)
class Call:
    """What a translator is told of its call. `id` makes the ids of the answer, which clients may send back.

    `model` is the upstream's name for the model, where it is not the client's; `length` is OpenAI's name for the length
    of a chat's answer that the upstream knows. Streams tell their usage unless they are not to be asked (`asks_usage`).
    """

    clock: Clock
    id: str
    model: str = ""
    drop_unsupported: bool = False
    length: str = "max_tokens"
    asks_usage: bool = True


@dataclass(frozen=True)
class Sent:
    """The request for the upstream, always by POST."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = SENT_HEADERS


@dataclass(frozen=True)
class Answered:
    """An answer that needs no upstream."""

    body: bytes
    status: int = 200
    content_type: str = JSON


@dataclass(frozen=True)
class Head:
    """The head of the answer. Where it is `whole`, it may wait for `end`: the status can still become an error's."""

    status: int
    content_type: str
    whole: bool


class Translator(Protocol):
    """One call: begin, head, feed for each chunk, end. A call that is cut off needs nothing."""

    @property
    def status(self) -> int:
        """The answer's status as it is known by now: final behind `end`."""

    def asked_as(self, request_id: str) -> None:
        """The gateway's id of the call, which errors tell where the client's dialect has a place for it."""

    def begin(self, path: str, body: bytes) -> Sent | Answered:
        """What to send; raises Untranslatable."""

    def error(self, problem: Untranslatable) -> Answered:
        """The problem as the client's dialect says it."""

    def head(self, status: int, content_type: str) -> Head: ...

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes: ...


@dataclass(frozen=True)
class Plan:
    """A request in the upstream's dialect, and how its answer is read (by content type) and written."""

    sent: Sent
    reader: Callable[[str], Reader | None]
    writer: Writer


Endpoint = Callable[[Asked, Call], Plan | Answered]


def sent(path: str, body: Mapping[str, object]) -> Sent:
    """The request, unless it holds a number that is none: 1e999 parses, and is infinity."""
    try:
        return Sent(path, json_bytes(body))
    except ValueError as error:
        raise Untranslatable(f"the body cannot be written: {error}", code="invalid_json") from None


@dataclass(frozen=True)
class Pair:
    """A client's dialect over an upstream's: its endpoints by path, and the errors of either side.

    `stated` finds the error that an upstream's JSON of this status states, if it does.
    """

    endpoints: Mapping[str, Endpoint]
    refusal: Callable[[Failure], bytes]
    stated: Callable[[Mapping[str, object], int], Failure | None]


class Translation:
    """The translator of a pair of dialects."""

    def __init__(self, pair: Pair, call: Call) -> None:
        self._pair = pair
        self._call = call
        self._answer: _Answer | None = None
        self._plan: Plan | None = None
        self._request_id = ""
        self.status = 0

    def asked_as(self, request_id: str) -> None:
        self._request_id = request_id

    def begin(self, path: str, body: bytes) -> Sent | Answered:
        endpoint = self._pair.endpoints.get(path.partition("?")[0])
        if endpoint is None:
            raise Untranslatable(f"{path} cannot be translated", code="not_found", status=HTTPStatus.NOT_FOUND)
        plan = endpoint(asked(body), self._call)
        if isinstance(plan, Answered):
            return plan
        self._plan = plan
        return plan.sent

    def error(self, problem: Untranslatable) -> Answered:
        failure = Failure(problem.message, status=problem.status, param=problem.param, code=problem.code)
        return Answered(self._refusal(failure), status=problem.status)

    def head(self, status: int, content_type: str) -> Head:
        if self._plan is None:
            raise RuntimeError("the call has not begun")
        writer = self._plan.writer
        media_type = content_type.partition(";")[0].strip().lower()
        reader = self._plan.reader(media_type) if status == HTTPStatus.OK else None
        if reader is None:
            refused = status if status >= FIRST_ERROR else BAD_GATEWAY
            complaint = self._complaint if status >= FIRST_ERROR else _unexpected(status, media_type)
            self._answer, self.status = _Complaint(refused, complaint, self._refusal), refused
            return Head(refused, JSON, whole=True)
        self._answer, self.status = _Read(reader, writer, self._request_id), int(HTTPStatus.OK)
        return Head(self.status, writer.content_type, whole=not writer.streams)

    def feed(self, chunk: bytes) -> bytes:
        return self._begun().feed(chunk)

    def end(self) -> bytes:
        answer = self._begun()
        rest = answer.end()
        self.status = answer.status
        return rest

    def _complaint(self, status: int, body: bytes) -> Failure:
        """What an upstream's error says; its status where it says nothing that can be read."""
        try:
            failure = self._pair.stated(read_object(body), status)
        except ValueError:
            failure = None
        return failure or Failure(f"the upstream answered with status {status}", status)

    def _refusal(self, failure: Failure) -> bytes:
        return self._pair.refusal(replace(failure, request_id=self._request_id))

    def _begun(self) -> "_Answer":
        if self._answer is None:
            raise RuntimeError("the answer has no head yet")
        return self._answer


class _Answer(Protocol):
    @property
    def status(self) -> int: ...

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class _Complaint:
    """An answer that is an error from its first line on."""

    def __init__(
        self, status: int, complaint: Callable[[int, bytes], Failure], refusal: Callable[[Failure], bytes]
    ) -> None:
        self.status = status
        self._complaint = complaint
        self._refusal = refusal
        self._body = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        self._body += chunk[: MAX_ERROR - len(self._body)]
        return b""

    def end(self) -> bytes:
        return self._refusal(self._complaint(self.status, bytes(self._body)))


class _Read:
    """An answer that is read by one dialect and written by another, until it ends or fails."""

    def __init__(self, reader: Reader, writer: Writer, request_id: str) -> None:
        self._reader = reader
        self._writer = writer
        self._request_id = request_id
        self._over = False
        self._read = 0
        self.status = int(HTTPStatus.OK)

    def feed(self, chunk: bytes) -> bytes:
        if self._over:
            return b""
        self._read += len(chunk)
        if self._read > MAX_WHOLE and not self._writer.streams:
            return self._failed(_unusable("the upstream's answer is too large"))
        return self._written(self._reader.feed(chunk))

    def end(self) -> bytes:
        if self._over:
            return b""
        rest = self._written(self._reader.end())
        return rest if self._over else rest + self._failed(_unusable("the upstream's answer broke off"))

    def _written(self, values: Iterator[Said]) -> bytes:
        """What the values come to, and the answer's last words once it is complete."""
        out = bytearray()
        try:
            for said in values:
                out += self._writer.write(said)
            if self._reader.complete:
                out += self._writer.close()
                self._over = True
        except Failed as failed:
            out += self._failed(failed.failure)
        except ValueError as error:
            out += self._failed(_unusable(f"the upstream's answer makes no sense: {_reason(error)}"))
        return bytes(out)

    def _failed(self, failure: Failure) -> bytes:
        self._over = True
        if not self._writer.streams:
            self.status = failure.status if failure.status >= FIRST_ERROR else BAD_GATEWAY
        return self._writer.failure(replace(failure, request_id=self._request_id))


def _unusable(message: str) -> Failure:
    return Failure(message, code=UNUSABLE)


def _reason(error: ValueError) -> str:
    """The reason without the upstream's bytes, which the errors of Unicode and JSON may quote."""
    if isinstance(error, UnicodeError):
        return "bad UTF-8"
    return str(error)


def _unexpected(status: int, media_type: str) -> Callable[[int, bytes], Failure]:
    what = media_type or "no content type" if status == HTTPStatus.OK else f"status {status}"
    return lambda _status, _body: _unusable(f"the upstream answered with {what}")
