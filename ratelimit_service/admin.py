"""Quotas for operators: how a caller stands with each, and more of one, or all of it again, until its window ends.

Who may ask is decided where this is served: a Unix socket, or over mutual TLS a control plane or an admin.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import DecodeError, Message

from ratelimit_service.applying import Unknown, claim, missing, of_caller, value_of, window_name
from ratelimit_service.claims import Claim, State
from ratelimit_service.descriptors import Caller
from ratelimit_service.policy import Dimension, LimitPolicy, PolicyTable, Rule
from ratelimit_service.policy_faults import MOST
from ratelimit_service.scripts import StoreUnavailable
from ratelimit_service.windows import MICROSECONDS
from service_kit.log import Logger
from service_kit.peers import peer_of
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb

SERVICE: Final = "tollgate.admin.v1.QuotaAdmin"
# What a caller is, apart from any call.
KNOWN: Final = frozenset({Dimension.SUBJECT, Dimension.TENANT, Dimension.CONSUMER, Dimension.PLAN})

Context = grpc.aio.ServicerContext[Any, Any]


class QuotaCounters(Protocol):
    """Where quotas are counted. StoreUnavailable leaves open whether something was changed."""

    async def read(self, claims: Sequence[Claim]) -> tuple[State, ...]: ...

    async def grant(self, claim: Claim, amount: int) -> State: ...

    async def reset(self, claim: Claim) -> State: ...


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the program
    """What cannot be answered, as gRPC says it."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class QuotaAdmin:
    """The operations. `forget` drops what this process remembers of a counter."""

    def __init__(
        self, *, policy: PolicyTable, counters: QuotaCounters, forget: Callable[[str], None], log: Logger
    ) -> None:
        self._policy = policy
        self._counters = counters
        self._forget = forget
        self._log = log

    async def list(self, request: quotas_pb.ListQuotasRequest, _by: str) -> quotas_pb.QuotasReport:
        caller = _caller(request.caller)
        quotas = [quota for quota in _quotas(caller, self._policy.current) if request.usage in ("", quota.usage)]
        states = await self._counters.read([claim(quota, caller, 0) for quota in quotas]) if quotas else ()
        pairs = zip(quotas, states, strict=True)
        return quotas_pb.QuotasReport(quotas=[_state(quota, caller, state) for quota, state in pairs])

    async def grant(self, request: quotas_pb.GrantQuotaRequest, by: str) -> quotas_pb.QuotasReport:
        caller = _caller(request.caller)
        quota = self._quota(request.quota, caller)
        found = claim(quota, caller, 0)
        (before,) = await self._counters.read([found])
        if not 0 < request.amount <= MOST - quota.limit - before.granted:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"amount: a quota may have 1 to {MOST} in all")
        state = await self._counters.grant(found, request.amount)
        self._changed("quota granted", found, quota, by, amount=request.amount)
        return quotas_pb.QuotasReport(quotas=[_state(quota, caller, state)])

    async def reset(self, request: quotas_pb.ResetQuotaRequest, by: str) -> quotas_pb.QuotasReport:
        caller = _caller(request.caller)
        quota = self._quota(request.quota, caller)
        found = claim(quota, caller, 0)
        state = await self._counters.reset(found)
        self._changed("quota reset", found, quota, by)
        return quotas_pb.QuotasReport(quotas=[_state(quota, caller, state)])

    def _quota(self, name: str, caller: Caller) -> Rule:
        quotas = _quotas(caller, self._policy.current)
        for quota in quotas:
            if quota.id == name:
                return quota
        known = ", ".join(quota.id for quota in quotas) or "none"
        raise Refusal(grpc.StatusCode.NOT_FOUND, f"no quota {name!r} counts this caller; there is: {known}")

    def _changed(self, event: str, found: Claim, quota: Rule, by: str, **more: object) -> None:
        self._forget(found.key)
        self._log.info(event, quota=quota.id, counter=found.key, by=by, **more)


def quotas_rpc(admin: QuotaAdmin, log: Logger) -> grpc.GenericRpcHandler:
    """The gRPC service."""
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "ListQuotas": _handler(admin.list, quotas_pb.ListQuotasRequest, log),
            "GrantQuota": _handler(admin.grant, quotas_pb.GrantQuotaRequest, log),
            "ResetQuota": _handler(admin.reset, quotas_pb.ResetQuotaRequest, log),
        },
    )


def _handler(
    # Any: the request of the call
    work: Callable[[Any, str], Awaitable[quotas_pb.QuotasReport]],
    request: type[Message],
    log: Logger,
) -> "grpc.RpcMethodHandler[bytes, Message]":
    async def handle(raw: bytes, context: Context) -> Message:
        try:
            return await work(request.FromString(raw), _author(context))
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a {request.DESCRIPTOR.name}")
        except Refusal as refusal:
            await context.abort(refusal.code, str(refusal))
        except StoreUnavailable as error:
            log.warning("quotas cannot be read or changed", reason=str(error))
            await context.abort(
                grpc.StatusCode.UNAVAILABLE,
                f"the counter store did not answer: {error}; whether something was changed is open: list it first",
            )

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=quotas_pb.QuotasReport.SerializeToString)


def _author(context: Context) -> str:
    """The name in the caller's certificate; on the Unix socket there is none."""
    peer = peer_of(context)
    return next(iter(peer.names), "socket") if peer is not None else "socket"


def _caller(asked: quotas_pb.Caller) -> Caller:
    if not (asked.consumer or asked.tenant or asked.subject or asked.plan):
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "caller: name a consumer, a tenant, a subject or a plan")
    parts = (asked.subject, asked.tenant, asked.consumer, asked.plan)
    return Caller("", *(part or None for part in parts), model=asked.model or None)


def _quotas(caller: Caller, policy: LimitPolicy) -> list[Rule]:
    """The quotas whose counters are known by who calls."""
    rules = of_caller(caller, policy)
    if isinstance(rules, Unknown):
        raise Refusal(grpc.StatusCode.NOT_FOUND, f"no {rules.kind} {rules.name!r} is known")
    known = KNOWN if caller.model is None else {*KNOWN, Dimension.MODEL}
    return [rule for rule in rules if rule.is_quota and known.issuperset(rule.per) and missing(rule, caller) is None]


def _state(quota: Rule, caller: Caller, state: State) -> quotas_pb.QuotaState:
    return quotas_pb.QuotaState(
        quota=quota.id,
        usage=quota.usage,
        window=window_name(quota),
        per={dimension.value: value_of(dimension, caller) or "" for dimension in quota.per},
        used=state.used,
        held=state.held,
        limit=quota.limit,
        granted=state.granted,
        begins=state.begins // MICROSECONDS,
        resets=state.ends // MICROSECONDS,
        report=quota.report,
    )
