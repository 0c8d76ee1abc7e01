"""Whose quotas are asked for: what a consumer has without saying it, and what is said where nobody can tell."""

from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.message import Message

from control_plane.config.model import Config
from control_plane.operations.quotas import (
    BadRequest,
    CallerSpec,
    LimiterAway,
    NoSuchQuota,
    QuotaOperations,
    QuotasReport,
    QuotaState,
)
from control_plane.snapshot import Snapshot, resource, snapshot
from service_kit.contract import CONSUMER_TYPE
from service_kit.endpoint import Endpoint, parse_endpoint
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

CONFIG = Config.model_validate(
    {
        "version": 1,
        "defaults": {"plan": "free"},
        "plans": {"free": {}, "pro": {}},
        "consumers": ({"name": "acme", "tenant": "acme-inc", "plan": "pro"}, {"name": "small"}),
        "listeners": {"public": {"address": "127.0.0.1:8800"}},
        "upstreams": {"echo": {"url": "http://127.0.0.1:9001"}},
        "routes": (),
    }
)
SOME = quotas_pb.QuotaState(quota="q", usage="tokens", window="month", per={"consumer": "acme"}, used=7, limit=2**40)


@dataclass
class Limiter:
    """A rate-limit service that says what a test tells it to; keeps what it was asked."""

    answer: Message | grpc.aio.AioRpcError = field(default_factory=lambda: quotas_pb.QuotasReport(quotas=[SOME]))
    asked: list[tuple[str, Any]] = field(default_factory=list)
    endpoint: Endpoint = field(default_factory=lambda: parse_endpoint("unix:/run/limits.sock"))

    async def call(self, method: str, request: Message, response: type[Message]) -> Any:
        self.asked.append((method, request))
        if isinstance(self.answer, grpc.aio.AioRpcError):
            raise self.answer
        return self.answer


@dataclass
class Stored:
    """Stored identities, as far as they are looked at."""

    snapshot: Snapshot

    @property
    def identities(self) -> "Stored":
        return self


def operations(limiter: Limiter, *stored: policy_pb.Consumer) -> QuotaOperations:
    resources = [resource(CONSUMER_TYPE, item.name, item.SerializeToString()) for item in stored]
    return QuotaOperations(limiter, lambda: CONFIG, Stored(snapshot(resources)), structlog.get_logger())


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        pytest.param({"consumer": "acme"}, {"consumer": "acme", "tenant": "acme-inc", "plan": "pro"}, id="declared"),
        pytest.param({"consumer": "small"}, {"consumer": "small", "plan": "free"}, id="default-plan"),
        pytest.param({"consumer": "kept"}, {"consumer": "kept", "tenant": "kept-inc", "plan": "pro"}, id="stored"),
        pytest.param(
            {"consumer": "acme", "plan": "free"},
            {"consumer": "acme", "tenant": "acme-inc", "plan": "free"},
            id="another-plan",
        ),
        pytest.param(
            {"consumer": "named", "tenant": "in-a-token"},
            {"consumer": "named", "tenant": "in-a-token", "plan": "free"},
            id="known-by-tokens-alone",
        ),
        pytest.param({"subject": "al ice"}, {"subject": "al%20ice", "plan": "free"}, id="as-identities-are-written"),
        pytest.param({"tenant": "acme-inc"}, {"tenant": "acme-inc"}, id="tenant"),
        pytest.param({"plan": "pro"}, {"plan": "pro"}, id="plan"),
        pytest.param({"plan": "pro", "model": "org/m:1"}, {"plan": "pro", "model": "org/m:1"}, id="model"),
    ],
)
async def test_who_is_meant(asked: dict[str, str], meant: dict[str, str]) -> None:
    limiter = Limiter()
    do = operations(limiter, policy_pb.Consumer(name="kept", tenant="kept-inc", plan="pro"))

    await do.quotas(CallerSpec(**asked), "")

    assert limiter.asked == [("ListQuotas", quotas_pb.ListQuotasRequest(caller=quotas_pb.Caller(**meant)))]


async def test_what_is_asked_and_answered() -> None:
    limiter = Limiter()
    do, caller = operations(limiter), quotas_pb.Caller(tenant="t")

    reports = [
        await do.quotas(CallerSpec(tenant="t"), "usd"),
        await do.grant(CallerSpec(tenant="t"), "q", 5, "ops"),
        await do.reset(CallerSpec(tenant="t"), "q", "ops"),
    ]

    state = QuotaState("q", "tokens", "month", {"consumer": "acme"}, used=7, limit=2**40)
    assert reports == [QuotasReport((state,))] * 3
    assert [request for _, request in limiter.asked] == [
        quotas_pb.ListQuotasRequest(caller=caller, usage="usd"),
        quotas_pb.GrantQuotaRequest(caller=caller, quota="q", amount=5),
        quotas_pb.ResetQuotaRequest(caller=caller, quota="q"),
    ]


async def test_a_consumer_that_nobody_knows_is_not_asked_for() -> None:
    limiter = Limiter()

    with pytest.raises(NoSuchQuota, match="there is no consumer 'nobody'"):
        await operations(limiter).quotas(CallerSpec(consumer="nobody"), "")

    assert limiter.asked == []


async def test_a_name_that_no_identity_has_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="missing value"):
        await operations(Limiter()).quotas(CallerSpec(tenant="-"), "")


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        pytest.param(grpc.StatusCode.NOT_FOUND, NoSuchQuota, "^why$", id="not-found"),
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, BadRequest, "^why$", id="bad"),
        pytest.param(grpc.StatusCode.UNAVAILABLE, LimiterAway, r"limits.sock cannot tell \(why\)", id="away"),
        pytest.param(grpc.StatusCode.UNIMPLEMENTED, LimiterAway, "no rate-limit service of this", id="another-service"),
    ],
)
async def test_what_the_limiter_refuses(code: grpc.StatusCode, error: type[Exception], words: str) -> None:
    refused = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="why")

    with pytest.raises(error, match=words):
        await operations(Limiter(refused)).quotas(CallerSpec(tenant="t"), "")
