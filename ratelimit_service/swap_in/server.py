"""The gRPC edge of the swap-in: RateLimitService v3 on raw bytes, and what becomes of a call that cannot be decided.

Such a call ends with UNKNOWN, as with envoyproxy/ratelimit, whatever the reason: Envoy takes all errors for one, and a
client that retries only what is UNAVAILABLE counts nothing twice.
"""

from dataclasses import dataclass
from typing import Final

import grpc
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf.message import DecodeError

from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.swap_in.answer import OVER_LIMIT, answer
from ratelimit_service.swap_in.counting import FixedWindows
from ratelimit_service.swap_in.decision import applied, counted, counters
from ratelimit_service.swap_in.metrics import SwapInMetrics
from ratelimit_service.swap_in.request import UnusableRequest, read_ask
from ratelimit_service.swap_in.rulebook import Rulebook
from ratelimit_service.swap_in.settings import SwapInSettings
from service_kit.clock import Clock
from service_kit.log import Logger

METHOD: Final = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True)
class Failure:
    """A call without an answer: its gRPC status."""

    code: grpc.StatusCode
    details: str


UNDECODABLE: Final = Failure(grpc.StatusCode.INTERNAL, "not a RateLimitRequest")
UNFORESEEN: Final = Failure(grpc.StatusCode.UNKNOWN, "the decision failed; the log of the service says why")


class SwapInHandler(grpc.GenericRpcHandler):
    """Serves ShouldRateLimit."""

    def __init__(
        self,
        *,
        rulebook: Rulebook,
        windows: FixedWindows,
        settings: SwapInSettings,
        metrics: SwapInMetrics,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._rulebook = rulebook
        self._windows = windows
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._store_is_down = False
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._should_rate_limit)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == METHOD else None

    async def decide(self, raw: bytes) -> bytes | Failure:
        """A serialized RateLimitResponse to a serialized RateLimitRequest."""
        begun = self._clock.monotonic()
        outcome, result = await self._outcome(raw)
        self._metrics.called(outcome, self._clock.monotonic() - begun)
        return result

    async def _should_rate_limit(self, raw: bytes, context: Context) -> bytes:
        result = await self.decide(raw)
        if isinstance(result, Failure):
            await context.abort(result.code, result.details)
        return result

    async def _outcome(self, raw: bytes) -> tuple[str, bytes | Failure]:
        try:
            return await self._answered(rls_pb2.RateLimitRequest.FromString(raw))
        except DecodeError:
            return "unusable", UNDECODABLE
        except UnusableRequest as error:
            return "unusable", Failure(grpc.StatusCode.UNKNOWN, str(error))
        except StoreUnavailable as error:
            self._store_answers(failure=error)
            return "store_error", Failure(grpc.StatusCode.UNKNOWN, f"the counter store did not answer: {error}")
        except Exception:  # noqa: BLE001 - the outermost edge of a call: refused, counted and logged
            self._log.exception("decision failed")
            return "error", UNFORESEEN

    async def _answered(self, request: rls_pb2.RateLimitRequest) -> tuple[str, bytes]:
        ask = read_ask(request)
        rules = self._rulebook.current
        rows = applied(rules, ask)
        if asked := counters(ask.domain, rows):
            rows = counted(rows, await self._windows.count(asked))
            self._store_answers()
            self._metrics.counted(rows)
        response = answer(ask, rows, self._settings)
        raw: bytes = response.SerializeToString()
        if ask.domain not in rules.domains:
            return "unknown_domain", raw
        return "over_limit" if response.overall_code == OVER_LIMIT else "ok", raw

    def _store_answers(self, failure: StoreUnavailable | None = None) -> None:
        """One line when the store goes, and one when it is back."""
        if (failure is not None) is self._store_is_down:
            return
        self._store_is_down = failure is not None
        if failure is None:
            self._log.info("store up")
        else:
            self._log.error("store down: calls end with an error", reason=str(failure))
