"""The gRPC edge: Envoy's ext_proc on raw bytes, a stream for each call.

A stream that ends well tells Envoy that nothing more is to be changed: it would pass on what is left of a request or an
answer as it is, in the wrong dialect. So a stream ends well behind the end of its answer and nowhere else; whatever
else happens, it is aborted, and Envoy ends the call. No line of the log holds what was asked or answered, nor does the
text of an unforeseen error, which may quote it: the log has its type and its place.
"""

import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import grpc

from llm_providers.translation import Call
from llm_translator.metrics import TranslatorMetrics
from llm_translator.room import Room
from llm_translator.session import Outcome, Session
from llm_translator.target import Misdirected, Target, target
from llm_translator.wire import read
from service_kit.api_keys import RandomBytes
from service_kit.clock import Clock
from service_kit.log import Logger

METHOD: Final = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
ID_BYTES: Final = 12
# What is no news: the access log has these calls.
UNEVENTFUL: Final = frozenset({Outcome.TRANSLATED, Outcome.ANSWERED, Outcome.CUT})

Context = grpc.aio.ServicerContext[bytes, bytes]


class Stream:
    """A call as it is run: what its session answers, and the time that takes."""

    def __init__(self, called: Target, session: Session, clock: Clock) -> None:
        self.target = called
        self.session = session
        self.seconds = 0.0
        self._clock = clock

    def answers(self, raw: bytes) -> list[bytes]:
        """What to answer to a message, translated by the time that this returns."""
        begun = self._clock.monotonic()
        answers = list(self.session.receive(read(raw)))
        self.seconds += self._clock.monotonic() - begun
        return answers


class TranslationHandler(grpc.GenericRpcHandler):
    """Serves ExternalProcessor/Process."""

    def __init__(
        self, *, room: Room, metrics: TranslatorMetrics, clock: Clock, random_bytes: RandomBytes, log: Logger
    ) -> None:
        self._room = room
        self._metrics = metrics
        self._clock = clock
        self._random_bytes = random_bytes
        self._log = log
        # grpc hands over bytes where it is given no deserializer
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._process)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == METHOD else None

    async def _process(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            stream = self._stream(context)
        except Misdirected as error:
            self._metrics.misdirected()
            self._log.error("call misdirected", reason=str(error))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        with self._followed(stream):
            try:
                async for message in messages:
                    for answer in stream.answers(message):
                        yield answer
                    stream.session.written()
            except Exception as error:  # noqa: BLE001 - the outermost edge of a call: it is logged, counted and aborted
                self._failed(stream, error)
        if not stream.session.ended:
            await context.abort(grpc.StatusCode.ABORTED, "the call ended before its answer")

    def _stream(self, context: Context) -> Stream:
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        called = target(metadata)
        call_id = self._random_bytes(ID_BYTES).hex()
        length = called.length or Call.length
        call = Call(self._clock, call_id, called.model, length=length, asks_usage=called.asks_usage)
        return Stream(called, Session(called.translator(call), self._room), self._clock)

    @contextmanager
    def _followed(self, stream: Stream) -> Iterator[None]:
        """Counts and logs a call, in whatever way it ends: a client that leaves ends it at any point."""
        self._metrics.begun()
        try:
            yield
        finally:
            stream.session.close()
            self._metrics.ended(stream.target, stream.session.outcome, stream.seconds)
            self._tell(stream)

    def _failed(self, stream: Stream, error: Exception) -> None:
        stream.session.fail()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        self._log.error(
            "translation failed",
            error=type(error).__name__,
            at=f"{frame.filename}:{frame.lineno}",
            request_id=stream.session.request_id,
        )

    def _tell(self, stream: Stream) -> None:
        session, called = stream.session, stream.target
        write = self._log.debug if session.outcome in UNEVENTFUL else self._log.info
        write(
            "call",
            outcome=session.outcome.value,
            status=session.status,
            code=session.code,
            dialect=called.dialect,
            provider=called.provider,
            model=called.model,
            request_id=session.request_id,
        )
