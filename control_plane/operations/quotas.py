"""What operators do with quotas, and the answers as plain data: one shape for gRPC, HTTP and CLI.

The counters are the rate-limit service's, which is asked; whose plan and tenant a consumer has is known here. The JSON
of an answer is that of its message in protos/tollgate/admin/v1/quotas.proto.

Errors: QuotaError <- NoSuchQuota, BadRequest, LimiterAway
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from control_plane.config import model as config
from control_plane.keys.stored import StoredIdentities
from control_plane.operations.reports import from_json
from control_plane.snapshot import EMPTY
from service_kit.contract import CONSUMER_TYPE
from service_kit.identity_part import UnusablePart, identity_part
from service_kit.log import Logger
from service_kit.peer_calls import PeerCalls
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

SERVICE: Final = "tollgate.admin.v1.QuotaAdmin"
# Seconds.
LONGEST_CALL: Final = 5.0


class QuotaError(Exception):
    """What cannot be answered, and what to do."""


class NoSuchQuota(QuotaError):  # noqa: N818 - a verdict on what was asked
    """No quota, or no caller, is what was named."""


class BadRequest(QuotaError):  # noqa: N818 - a verdict on what was asked
    """It does not say enough, or too much."""


class LimiterAway(QuotaError):  # noqa: N818 - it is the service that is away
    """The rate-limit service, or its store, does not answer."""


@dataclass(frozen=True)
class CallerSpec:
    """Whose quotas."""

    consumer: str = ""
    tenant: str = ""
    subject: str = ""
    plan: str = ""
    model: str = ""


@dataclass(frozen=True)
class QuotaState:
    """How a caller stands with a quota."""

    quota: str
    usage: str
    window: str
    per: Mapping[str, str] = field(default_factory=dict)
    used: int = 0
    held: int = 0
    limit: int = 0
    granted: int = 0
    begins: int = 0
    resets: int = 0
    report: bool = False


@dataclass(frozen=True)
class QuotasReport:
    """Every quota that counts a caller's calls, or the one that was changed."""

    quotas: tuple[QuotaState, ...] = ()


class QuotaOperations:
    """The operations; each raises nothing but a QuotaError. `live` is the configuration that is live."""

    def __init__(
        self, limiter: PeerCalls, live: Callable[[], config.Config], stored: StoredIdentities, log: Logger
    ) -> None:
        self._limiter = limiter
        self._live = live
        self._stored = stored
        self._log = log

    async def quotas(self, caller: CallerSpec, usage: str) -> QuotasReport:
        request = quotas_pb.ListQuotasRequest(caller=self._message(caller), usage=usage)
        return await self._asked("ListQuotas", request)

    async def grant(self, caller: CallerSpec, quota: str, amount: int, by: str) -> QuotasReport:
        request = quotas_pb.GrantQuotaRequest(caller=self._message(caller), quota=quota, amount=amount)
        report = await self._asked("GrantQuota", request)
        self._log.info("quota granted", quota=quota, amount=amount, consumer=caller.consumer, by=by)
        return report

    async def reset(self, caller: CallerSpec, quota: str, by: str) -> QuotasReport:
        request = quotas_pb.ResetQuotaRequest(caller=self._message(caller), quota=quota)
        report = await self._asked("ResetQuota", request)
        self._log.info("quota reset", quota=quota, consumer=caller.consumer, by=by)
        return report

    async def _asked(self, method: str, request: Message) -> QuotasReport:
        try:
            answer = await self._limiter.call(method, request, quotas_pb.QuotasReport)
        except grpc.aio.AioRpcError as error:
            raise self._said(error) from error
        data = json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return from_json(QuotasReport, data)

    def _said(self, error: grpc.aio.AioRpcError) -> QuotaError:
        details = error.details() or ""
        match error.code():
            case grpc.StatusCode.NOT_FOUND:
                return NoSuchQuota(details)
            case grpc.StatusCode.INVALID_ARGUMENT:
                return BadRequest(details)
            case grpc.StatusCode.UNIMPLEMENTED:
                return LimiterAway(f"what answers at {self._limiter.endpoint} is no rate-limit service of this version")
        return LimiterAway(
            f"the rate-limit service at {self._limiter.endpoint} cannot tell ({details}); "
            "--ratelimit-admin of the control plane names one that it can reach"
        )

    def _message(self, caller: CallerSpec) -> quotas_pb.Caller:
        """The caller as it is counted: with the consumer's own plan and tenant, in the characters of identities."""
        whole = self._whole(caller)
        try:
            return quotas_pb.Caller(**{name: identity_part(text) for name, text in vars(whole).items() if text})
        except UnusablePart as error:
            raise BadRequest(f"caller: a name {error}") from error

    def _whole(self, caller: CallerSpec) -> CallerSpec:
        source = self._live()
        if caller.consumer:
            tenant, plan = self._known(caller, source)
            caller = replace(caller, tenant=caller.tenant or tenant or "", plan=caller.plan or plan or "")
        if (caller.consumer or caller.subject) and not caller.plan:
            return replace(caller, plan=source.defaults.plan or "")
        return caller

    def _known(self, caller: CallerSpec, source: config.Config) -> tuple[str | None, str | None]:
        """Tenant and plan of a consumer, declared or stored."""
        for declared in source.consumers:
            if declared.name == caller.consumer:
                return declared.tenant, declared.plan
        stored = (self._stored.identities.snapshot or EMPTY).of(CONSUMER_TYPE).get(caller.consumer)
        if stored is not None:
            message = policy_pb.Consumer.FromString(stored.body)
            return message.tenant, message.plan
        if caller.plan or caller.tenant:
            return None, None
        raise NoSuchQuota(
            f"there is no consumer {caller.consumer!r}; of one that only tokens name, say plan and tenant as well"
        )
