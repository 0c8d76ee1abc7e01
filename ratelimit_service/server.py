"""The gRPC edge: RateLimitService v3 on raw bytes. What goes wrong unforeseen is counted, logged and refused here."""

from typing import Final

import grpc

from ratelimit_service.answers import Failure, answer
from ratelimit_service.descriptors import Unreadable, read_ask
from ratelimit_service.limiter import Counters, Decision, Refused, Unidentified, decide
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.policy import PolicyTable
from service_kit.clock import Clock
from service_kit.log import Logger

METHOD: Final = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

Context = grpc.aio.ServicerContext[bytes, bytes]


class RateLimitHandler(grpc.GenericRpcHandler):
    """Serves ShouldRateLimit."""

    def __init__(
        self, *, policy: PolicyTable, counters: Counters, metrics: LimitMetrics, clock: Clock, log: Logger
    ) -> None:
        self._policy = policy
        self._counters = counters
        self._metrics = metrics
        self._clock = clock
        self._log = log
        # grpc hands over bytes where it is given no deserializer: what cannot be read gets an answer of its own
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._should_rate_limit)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == METHOD else None

    async def _should_rate_limit(self, raw: bytes, context: Context) -> bytes:
        begun = self._clock.monotonic()
        outcome, result = await self._outcome(raw)
        self._metrics.decided(outcome, self._clock.monotonic() - begun)
        if isinstance(result, Failure):
            await context.abort(result.code, result.details)
        return result

    async def _outcome(self, raw: bytes) -> tuple[str, bytes | Failure]:
        try:
            return await self._answered(raw)
        except Exception:  # noqa: BLE001 - the outermost edge of a call: refused, counted and logged
            self._log.exception("decision failed")
            return "error", Failure(grpc.StatusCode.INTERNAL, "the decision failed; the log of the service says why")

    async def _answered(self, raw: bytes) -> tuple[str, bytes | Failure]:
        ask = read_ask(raw)
        if isinstance(ask, Unreadable):
            return "unreadable", Failure(grpc.StatusCode.INVALID_ARGUMENT, ask.reason)
        decision = await decide(ask, self._policy.current, self._counters)
        self._count_rule(decision)
        result = answer(ask, decision)
        if isinstance(decision, Unidentified) and isinstance(result, Failure):
            # The caller is told to retry, which helps nobody: this is the operator's to cure.
            self._log.warning("call refused: its limit needs what the caller lacks", reason=result.details)
        return type(decision).__name__.lower(), result

    def _count_rule(self, decision: Decision) -> None:
        if isinstance(decision, Refused):
            rule = decision.longest.rule
            self._metrics.refused(rule.set_name, rule.id)
