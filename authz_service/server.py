"""The edge of the authorizer: bytes of a CheckRequest in, bytes of a CheckResponse out, one log line and count each.

A decision is logged once: refusals at `info`, and what would be one if its rule were enforced; those for want of a
policy that we understand at `warning`, faults of ours at `error`; other allowed requests at `debug`, because Envoy's
access log has a row with their identity. No line holds a credential or a claim that was not verified.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import grpc

from authz_service.answer import allowed, denied
from authz_service.case import Case, Denial
from authz_service.checks.credential import SKEWED
from authz_service.identity import Grant
from authz_service.keys import Stored
from authz_service.live_keys import Known
from authz_service.metrics import Metrics
from authz_service.needs import NOTHING, needs
from authz_service.newer_keys import Ask, PolicyChanges, no_newer_keys
from authz_service.oauth.exchange import Issuing
from authz_service.pipeline import decide
from authz_service.policy import Policy, parse_policy
from authz_service.request import Skew, parse_ask
from authz_service.signing import SigningKeys, parse_signing_keys, with_gateway
from authz_service.tokens import VerifiedTokens
from authz_service.usage import KeyUses
from service_kit.api_keys import RandomBytes, key_id
from service_kit.clock import Clock
from service_kit.contract import (
    API_KEY_TYPE,
    AUTHZ_POLICY_NAME,
    AUTHZ_POLICY_TYPE,
    BESIDE_TYPES,
    CONSUMER_TYPE,
    CREDENTIAL_ANONYMOUS,
    CREDENTIAL_API_KEY,
    MISSING,
    SIGNING_KEYS_NAME,
    SIGNING_KEYS_TYPE,
)
from service_kit.log import Logger
from service_kit.subscription import PolicyRejected

METHOD: Final = "/envoy.service.auth.v3.Authorization/Check"
_OUR_FAULT: Final = 503

NOT_READY = Denial(503, "not_ready", "The gateway has no authorization policy yet: try again in a moment.")
NOT_TOLD = Denial(
    503, "not_ready", "The gateway does not know its keys and consumers yet: try again in a moment.", reason="not_told"
)
FAILED = Denial(
    503, "authorizer_failed", "The request could not be authorized: try again, then tell the administrator."
)


@dataclass(frozen=True, slots=True)
class _Active:
    """A policy, the tokens verified under it, and what its credentials need: they come and go together."""

    policy: Policy
    tokens: VerifiedTokens
    needs: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered, and what the log says about it; `case` None: it was not judged."""

    id: str
    outcome: Grant | Denial
    request_id: str
    route: str = MISSING
    case: Case | None = None
    dialect: str | None = None

    @property
    def kind(self) -> str:
        """The kind of credential that decided."""
        if self.case is not None and self.case.credential is not None:
            return self.case.credential.kind
        return MISSING if self.grant is None else CREDENTIAL_ANONYMOUS

    @property
    def key_id(self) -> str:
        """Of the key that was granted something, or that an API key says to be: it is no secret, and may be made up."""
        if self.grant is not None and self.grant.key_id is not None:
            return self.grant.key_id
        presented = None if self.case is None else self.case.credential
        if presented is None or presented.kind != CREDENTIAL_API_KEY:
            return MISSING
        return key_id(presented.token) or MISSING

    @property
    def unknown_key_of(self) -> str | None:
        """The issuer whose newer keys may decide otherwise."""
        return self.outcome.unknown_key_of if isinstance(self.outcome, Denial) else None

    @property
    def grant(self) -> Grant | None:
        """Who it is, also where they may not."""
        if isinstance(self.outcome, Grant):
            return self.outcome
        return None if self.case is None else self.case.grant


class Authorizer:
    """Decides by the policy it was last given, and the keys beside it; without a policy, it refuses.

    Takes both as a PolicyConsumer.
    """

    def __init__(self, *, clock: Clock, metrics: Metrics, random_bytes: RandomBytes) -> None:
        self._clock = clock
        self._metrics = metrics
        self._random_bytes = random_bytes
        self._active: _Active | None = None
        self._policy: Policy | None = None
        self._signing = SigningKeys()
        self._untold = set(BESIDE_TYPES)
        self.changes = PolicyChanges()
        self._stored = Stored()

    def apply(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Takes a change of the policy, of keys, of consumers, or of what tokens are signed with."""
        try:
            if type_url == API_KEY_TYPE:
                self._stored.change_keys(changed, removed)
            elif type_url == CONSUMER_TYPE:
                self._stored.change_consumers(changed, removed)
            elif type_url == SIGNING_KEYS_TYPE:
                self._apply_signing_keys(changed, removed)
            else:
                self._apply_policy(type_url, changed, removed)
            self._untold.discard(type_url)
        finally:
            self._metrics.stored(keys=len(self._stored.keys), consumers=len(self._stored.consumers))

    def _apply_policy(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Swaps the policy whole, and with it forgets every verified token; PolicyRejected leaves both as they were."""
        if type_url != AUTHZ_POLICY_TYPE or not set(changed) <= {AUTHZ_POLICY_NAME}:
            raise PolicyRejected(f"the authorizer takes one {AUTHZ_POLICY_TYPE} named {AUTHZ_POLICY_NAME!r}")
        if AUTHZ_POLICY_NAME in changed:
            self._activate(parse_policy(changed[AUTHZ_POLICY_NAME]), self._signing)
        elif AUTHZ_POLICY_NAME in removed:
            self._policy = self._active = None

    def _apply_signing_keys(self, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        """Of keys that cannot be read none is used any longer: they may have been replaced for a reason."""
        if SIGNING_KEYS_NAME in changed or SIGNING_KEYS_NAME in removed:
            self._activate(self._policy, SigningKeys())
        if SIGNING_KEYS_NAME in changed:
            self._activate(self._policy, parse_signing_keys(changed[SIGNING_KEYS_NAME]))

    def _activate(self, policy: Policy | None, signing: SigningKeys) -> None:
        """Verified tokens are forgotten with what they were verified under."""
        self._policy, self._signing = policy, signing
        if policy is not None:
            tokens = VerifiedTokens(self._metrics.looked_up)
            self._active = _Active(with_gateway(policy, signing), tokens, needs(policy))
            self.changes.tell()

    @property
    def awaits(self) -> Collection[str]:
        """What the policy cannot do without for some kind of credential."""
        return () if self._active is None else frozenset().union(*self._active.needs.values())

    @property
    def issuing(self) -> Issuing | None:
        """What tokens are issued by; None where none are."""
        policy = self._policy
        if policy is None or policy.tokens is None or policy.key_settings is None:
            return None
        return Issuing(policy.tokens, policy.key_settings, Known(policy, self._stored), self._signing)

    def decide(self, request: bytes) -> Decision:
        """The decision on a serialized CheckRequest."""
        ask, new_id = parse_ask(request), self.new_id()
        if isinstance(ask, Skew):
            return Decision(new_id, replace(SKEWED, reason=ask.reason), ask.request_id)
        if self._active is None:
            return Decision(new_id, NOT_READY, ask.request_id, ask.route, dialect=ask.dialect)
        if self._untold and any(self._untold & self._active.needs.get(kind, NOTHING) for kind in ask.accept):
            return Decision(new_id, NOT_TOLD, ask.request_id, ask.route, dialect=ask.dialect)
        verdict = decide(Case(ask, self._active.policy, self._active.tokens, self._stored, self._clock.now()))
        return Decision(new_id, verdict.outcome, ask.request_id, ask.route, verdict.case, ask.dialect)

    def new_id(self) -> str:
        """An id that no other decision has."""
        return str(UUID(bytes=self._random_bytes(16), version=4))


class AuthorizationService(grpc.GenericRpcHandler):
    """`envoy.service.auth.v3.Authorization/Check` over raw bytes."""

    def __init__(
        self,
        authorizer: Authorizer,
        *,
        uses: KeyUses,
        clock: Clock,
        metrics: Metrics,
        log: Logger,
        newer_keys: Ask = no_newer_keys,
    ) -> None:
        self._authorizer = authorizer
        self._uses = uses
        self._newer_keys = newer_keys
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
            return self._told(self._authorizer.decide(request), start)
        except Exception:  # noqa: BLE001 - the outermost edge: an unforeseen fault is counted, logged and refused
            return self._failed(start)

    async def answer_by_newest_keys(self, request: bytes) -> bytes:
        """The same; a token that names an unknown key is judged again where its issuer has published newer ones."""
        start = self._clock.monotonic()
        try:
            decision = self._authorizer.decide(request)
            issuer = decision.unknown_key_of
            if issuer is not None and await self._newer_keys(issuer):
                decision = self._authorizer.decide(request)
            return self._told(decision, start)
        except Exception:  # noqa: BLE001 - as above
            return self._failed(start)

    async def _check(self, request: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return await self.answer_by_newest_keys(request)

    def _told(self, decision: Decision, start: float) -> bytes:
        response = _response(decision)
        self._record(decision, self._clock.monotonic() - start)
        return response

    def _failed(self, start: float) -> bytes:
        self._metrics.decided(outcome="error", code=FAILED.code, seconds=self._clock.monotonic() - start)
        self._log.exception("decision", outcome="error", code=FAILED.code)
        return denied(FAILED, MISSING, self._authorizer.new_id())

    def _record(self, decision: Decision, seconds: float) -> None:
        outcome = decision.outcome
        self._count_use(decision)
        if isinstance(outcome, Grant):
            self._metrics.decided(outcome="allow", code="ok", seconds=seconds)
            self._record_allowed(decision)
            return
        name = "error" if outcome.status == _OUR_FAULT else "deny"
        self._metrics.decided(outcome=name, code=outcome.code, seconds=seconds)
        write = self._log.warning if name == "error" else self._log.info
        write("decision", outcome=name, code=outcome.code, reason=outcome.reason, **_log_fields(decision))

    def _record_allowed(self, decision: Decision) -> None:
        codes = _would_deny(decision)
        for code in codes:
            self._metrics.would_deny(code)
        if codes:
            self._log.info("decision", outcome="allow", would_deny=codes, **_log_fields(decision))
        else:
            self._log.debug("decision", outcome="allow", **_log_fields(decision))

    def _count_use(self, decision: Decision) -> None:
        """A key that was believed was used, also where its holder may not do what they asked for."""
        grant = decision.grant
        if decision.kind == CREDENTIAL_API_KEY and grant is not None and grant.key_id is not None:
            self._uses.used(grant.key_id)


def _response(decision: Decision) -> bytes:
    case, outcome = decision.case, decision.outcome
    if isinstance(outcome, Denial):
        challenge = None if case is None else case.challenge(outcome)
        return denied(outcome, decision.request_id, decision.id, challenge, dialect=decision.dialect)
    if case is None:
        raise TypeError("nobody is let in without having been judged")
    without = None if case.credential is None else case.credential.without
    return allowed(outcome, case.ask.profile, decision.id, without=without, would_deny=_would_deny(decision))


def _would_deny(decision: Decision) -> tuple[str, ...]:
    return () if decision.case is None else tuple(denial.code for denial in decision.case.would_deny)


def _log_fields(decision: Decision) -> dict[str, Any]:  # Any: keyword arguments of the logger
    grant = decision.grant
    return {
        "decision_id": decision.id,
        "request_id": decision.request_id,
        "route": decision.route,
        "kind": decision.kind,
        "subject": MISSING if grant is None else grant.subject,
        "consumer": MISSING if grant is None or grant.consumer is None else grant.consumer,
        "plan": MISSING if grant is None or grant.plan is None else grant.plan,
        "key_id": decision.key_id,
    }
