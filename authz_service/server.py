"""The edge of the authorizer: bytes of a CheckRequest in, bytes of a CheckResponse out, one log line and count each.

A decision is logged once: refusals at `info`, those for want of a policy that we understand at `warning`, faults of
ours at `error`; allowed requests at `debug`, because Envoy's access log has a row with their identity. No line holds a
credential or a claim that was not verified.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc

from authz_service.answer import allowed, denied
from authz_service.case import Case, Denial
from authz_service.identity import Grant
from authz_service.metrics import Metrics
from authz_service.pipeline import decide
from authz_service.policy import Policy, parse_policy
from authz_service.request import Skew, parse_ask
from authz_service.tokens import VerifiedTokens
from service_kit.clock import Clock
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE, MISSING
from service_kit.log import Logger
from service_kit.subscription import PolicyRejected

METHOD: Final = "/envoy.service.auth.v3.Authorization/Check"
_OUR_FAULT: Final = 503

NOT_READY = Denial(503, "not_ready", "The gateway has no authorization policy yet: try again in a moment.")
FAILED = Denial(
    503, "authorizer_failed", "The request could not be authorized: try again, then tell the administrator."
)
_SKEWED = "The gateway's parts run different versions of its configuration: try again in a moment."


@dataclass(frozen=True, slots=True)
class _Active:
    """A policy and the tokens verified under it: they come and go together."""

    policy: Policy
    tokens: VerifiedTokens


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered, and what the log says about it."""

    outcome: Grant | Denial
    request_id: str
    route: str = MISSING
    profile: str = MISSING
    kind: str = MISSING
    grant: Grant | None = None


class Authorizer:
    """Decides by the policy it was last given; without one, it refuses. Takes its policy as a PolicyConsumer."""

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._active: _Active | None = None

    def apply(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Swaps the policy whole, and with it forgets every verified token; PolicyRejected leaves both as they were."""
        if type_url != AUTHZ_POLICY_TYPE or not set(changed) <= {AUTHZ_POLICY_NAME}:
            raise PolicyRejected(f"the authorizer takes one {AUTHZ_POLICY_TYPE} named {AUTHZ_POLICY_NAME!r}")
        if AUTHZ_POLICY_NAME in changed:
            policy = parse_policy(changed[AUTHZ_POLICY_NAME])
            self._active = _Active(policy, VerifiedTokens(self._metrics.looked_up))
        elif AUTHZ_POLICY_NAME in removed:
            self._active = None

    def decide(self, request: bytes) -> Decision:
        """The decision on a serialized CheckRequest."""
        ask = parse_ask(request)
        if isinstance(ask, Skew):
            return Decision(Denial(503, "policy_skew", _SKEWED, reason=ask.reason), ask.request_id)
        if self._active is None:
            return Decision(NOT_READY, ask.request_id, ask.route)
        verdict = decide(Case(ask, self._active.policy, self._active.tokens, self._clock.now()))
        return Decision(
            outcome=verdict.outcome,
            request_id=ask.request_id,
            route=ask.route,
            profile=ask.profile,
            kind=MISSING if verdict.case.credential is None else verdict.case.credential.kind,
            grant=verdict.outcome if isinstance(verdict.outcome, Grant) else verdict.case.grant,
        )


class AuthorizationService(grpc.GenericRpcHandler):
    """`envoy.service.auth.v3.Authorization/Check` over raw bytes."""

    def __init__(self, authorizer: Authorizer, *, clock: Clock, metrics: Metrics, log: Logger) -> None:
        self._authorizer = authorizer
        self._clock = clock
        self._metrics = metrics
        self._log = log
        # Without a deserializer grpc hands over bytes: what cannot be read gets an answer of its own.
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(self._check)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._method if handler_call_details.method == METHOD else None

    def answer(self, request: bytes) -> bytes:
        """The serialized answer to a serialized question; whatever goes wrong, there is one, and it is no."""
        start = self._clock.monotonic()
        try:
            decision = self._authorizer.decide(request)
            response = _response(decision)
            self._record(decision, self._clock.monotonic() - start)
        except Exception:  # noqa: BLE001 - the outermost edge: an unforeseen fault is counted, logged and refused
            self._metrics.decided(outcome="error", code=FAILED.code, seconds=self._clock.monotonic() - start)
            self._log.exception("decision", outcome="error", code=FAILED.code)
            return denied(FAILED, MISSING)
        return response

    async def _check(self, request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return self.answer(request)

    def _record(self, decision: Decision, seconds: float) -> None:
        outcome = decision.outcome
        if isinstance(outcome, Grant):
            self._metrics.decided(outcome="allow", code="ok", seconds=seconds)
            self._log.debug("decision", outcome="allow", **_log_fields(decision))
            return
        name = "error" if outcome.status == _OUR_FAULT else "deny"
        self._metrics.decided(outcome=name, code=outcome.code, seconds=seconds)
        write = self._log.warning if name == "error" else self._log.info
        write("decision", outcome=name, code=outcome.code, reason=outcome.reason, **_log_fields(decision))


def _response(decision: Decision) -> bytes:
    if isinstance(decision.outcome, Grant):
        return allowed(decision.outcome, decision.profile)
    return denied(decision.outcome, decision.request_id)


def _log_fields(decision: Decision) -> dict[str, Any]:  # Any: keyword arguments of the logger
    grant = decision.grant
    return {
        "request_id": decision.request_id,
        "route": decision.route,
        "kind": decision.kind,
        "subject": MISSING if grant is None else grant.subject,
        "consumer": MISSING if grant is None or grant.consumer is None else grant.consumer,
        "plan": MISSING if grant is None or grant.plan is None else grant.plan,
    }
