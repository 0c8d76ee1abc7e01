"""The gRPC edge: RateLimitService v3 on raw bytes. What goes wrong unforeseen is counted, logged and refused here."""

from typing import Final

import grpc

from ratelimit_service.abandoned import Unbroken
from ratelimit_service.answers import Failure, acknowledgement, answer
from ratelimit_service.descriptors import Ask, End, Unreadable, read_call
from ratelimit_service.limiter import Admitted, Decision, Repeated, Unheld, Unidentified, decide
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.policy import PolicyTable
from ratelimit_service.settlement import Ending, give_back, settle
from ratelimit_service.watch import CallCounters
from service_kit.clock import Clock
from service_kit.log import Logger

METHOD: Final = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

Context = grpc.aio.ServicerContext[bytes, bytes]


class RateLimitHandler(grpc.GenericRpcHandler):
    """Serves ShouldRateLimit."""

    def __init__(
        self, *, policy: PolicyTable, counters: CallCounters, metrics: LimitMetrics, clock: Clock, log: Logger
    ) -> None:
        self._policy = policy
        self._counters = counters
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._unbroken = Unbroken(metrics, log)
        # grpc hands over bytes where it is given no deserializer: what cannot be read gets an answer of its own
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._should_rate_limit)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == METHOD else None

    async def _should_rate_limit(self, raw: bytes, context: Context) -> bytes:
        try:
            result = await self._answered(raw)
        except Exception:  # noqa: BLE001 - the outermost edge of a call: refused, counted and logged
            self._log.exception("decision failed")
            self._metrics.answered("error")
            result = Failure(grpc.StatusCode.INTERNAL, "the decision failed; the log of the service says why")
        if isinstance(result, Failure):
            await context.abort(result.code, result.details)
        return result

    async def _answered(self, raw: bytes) -> bytes | Failure:
        call = read_call(raw)
        if isinstance(call, Unreadable):
            self._metrics.answered("unreadable")
            return Failure(grpc.StatusCode.INVALID_ARGUMENT, call.reason)
        return await self._ended(call) if isinstance(call, End) else await self._decided(call)

    async def _decided(self, ask: Ask) -> bytes | Failure:
        begun = self._clock.monotonic()
        decision = await self._decision(ask)
        result = answer(ask, decision)
        self._metrics.decided(decision, self._clock.monotonic() - begun)
        self._tell(decision, result)
        return result

    async def _decision(self, ask: Ask) -> Decision:
        deciding = decide(ask, self._policy.current, self._counters)
        if ask.hold is None:
            return await deciding
        return await self._unbroken.done(deciding, lambda decision: self._undone(ask, decision))

    async def _undone(self, ask: Ask, decision: Decision) -> bool:
        """Gives back what a call took whose caller has gone; whether there was something."""
        if not isinstance(decision, Admitted) or not decision.holds:
            return False
        await give_back(ask, self._policy.current, self._counters)
        return True

    async def _ended(self, end: End) -> bytes:
        settlement = await self._unbroken.done(settle(end, self._policy.current, self._counters))
        self._metrics.settled(settlement)
        if settlement.ending is Ending.UNAVAILABLE:
            self._log.warning(
                "settlement lost: the charge stays as it was held", hold=end.hold, reason=settlement.reason
            )
        return acknowledgement(end)

    def _tell(self, decision: Decision, result: bytes | Failure) -> None:
        if isinstance(decision, Repeated):
            self._log.error("two calls with one id: one of them was refused", hold=decision.hold)
        elif isinstance(decision, Unidentified | Unheld) and isinstance(result, Failure):
            # The caller is told to retry, which helps nobody: this is the operator's to cure.
            self._log.warning("call refused: its limit needs what the call lacks", reason=result.details)
