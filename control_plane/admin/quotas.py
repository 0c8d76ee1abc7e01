"""Quotas over gRPC and over HTTP. HTTP says who calls beside the rest: `GET /quotas?consumer=acme`."""

from dataclasses import fields
from typing import Final

import grpc
from starlette.routing import Route

from control_plane.admin.calls import Call, Json, Offer, Said, Served, calls_routes, calls_rpc
from control_plane.audit import Act
from control_plane.operations.quotas import (
    SERVICE,
    BadRequest,
    CallerSpec,
    LimiterAway,
    NoSuchQuota,
    QuotaError,
    QuotaOperations,
    QuotasReport,
)
from service_kit.audit import Facts
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb

CALLER_KEYS: Final = frozenset(field.name for field in fields(CallerSpec))


async def _grant(do: QuotaOperations, asked: quotas_pb.GrantQuotaRequest, act: Act) -> QuotasReport:
    report = await do.grant(_caller(asked.caller), asked.quota, asked.amount, act.actor)
    act.new = {"amount": asked.amount, "caller": _facts(asked.caller), **_states(report)}
    return report


async def _reset(do: QuotaOperations, asked: quotas_pb.ResetQuotaRequest, act: Act) -> QuotasReport:
    caller = _caller(asked.caller)
    before = (await do.quotas(caller, "")).quotas
    act.old = _states(QuotasReport(tuple(state for state in before if state.quota == asked.quota)))
    report = await do.reset(caller, asked.quota, act.actor)
    act.new = {"caller": _facts(asked.caller), **_states(report)}
    return report


def _named(asked: quotas_pb.GrantQuotaRequest | quotas_pb.ResetQuotaRequest) -> str:
    whose = " ".join(_facts(asked.caller).values())
    return f"quota {asked.quota} of {whose}" if whose else f"quota {asked.quota}"


def _facts(caller: quotas_pb.Caller) -> dict[str, str]:
    return {field.name: value for field, value in caller.ListFields()}


def _states(report: QuotasReport) -> Facts:
    """How the quota stands."""
    told = ("used", "limit", "granted", "resets")
    return {
        "quotas": [{"quota": state.quota, **{name: getattr(state, name) for name in told}} for state in report.quotas]
    }


CALLS: Final[tuple[Call[QuotaOperations], ...]] = (
    Call(
        "ListQuotas", quotas_pb.ListQuotasRequest, quotas_pb.QuotasReport, ("GET", "/quotas"),
        lambda do, asked, _: do.quotas(_caller(asked.caller), asked.usage),
    ),
    Call(
        "GrantQuota", quotas_pb.GrantQuotaRequest, quotas_pb.QuotasReport, ("POST", "/quotas/grant"),
        _grant, "quota.grant", _named,
    ),
    Call(
        "ResetQuota", quotas_pb.ResetQuotaRequest, quotas_pb.QuotasReport, ("POST", "/quotas/reset"),
        _reset, "quota.reset", _named,
    ),
)  # fmt: skip


def _of_http(asked: Json) -> Json:
    """The parts of a caller put together, as the messages have them."""
    caller = {key: value for key, value in asked.items() if key in CALLER_KEYS}
    rest = {key: value for key, value in asked.items() if key not in CALLER_KEYS}
    return {"caller": caller, **rest} if caller else rest


OFFER: Final = Offer(
    service=SERVICE,
    calls=CALLS,
    error=QuotaError,
    refusals={
        NoSuchQuota: Said(grpc.StatusCode.NOT_FOUND, 404, "not_found"),
        BadRequest: Said(grpc.StatusCode.INVALID_ARGUMENT, 400, "invalid_request"),
        LimiterAway: Said(grpc.StatusCode.FAILED_PRECONDITION, 503, "limiter_unavailable"),
    },
    otherwise=Said(grpc.StatusCode.INTERNAL, 500, "error"),
    asked=_of_http,
)


def quotas_rpc(served: Served[QuotaOperations]) -> grpc.GenericRpcHandler:
    """The gRPC service."""
    return calls_rpc(OFFER, served)


def quotas_routes(served: Served[QuotaOperations]) -> tuple[Route, ...]:
    """The same over HTTP."""
    return calls_routes(OFFER, served)


def _caller(asked: quotas_pb.Caller) -> CallerSpec:
    return CallerSpec(asked.consumer, asked.tenant, asked.subject, asked.plan, asked.model)
