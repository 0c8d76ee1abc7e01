"""Counters and rows beside each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
import structlog
from prometheus_client import CollectorRegistry

from service_kit.endpoint import UnixEndpoint
from tests.support.clock import StillClock
from tests.support.ledger import Ledger, metered, row
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb
from usage_ledger.database import Database
from usage_ledger.drift import METHOD, Compared, Drift
from usage_ledger.reader import Reader

MONTH = 1_698_796_800  # 2023-11-01


def quota(usage: str, used: int, **fields) -> quotas_pb.QuotaState:
    state = {"quota": f"plan/free:{usage}", "window": "month", "per": {"consumer": "acme"}, "begins": MONTH, **fields}
    return quotas_pb.QuotaState(usage=usage, used=used, **state)


@asynccontextmanager
async def limiter(path, quotas) -> AsyncIterator[None]:
    """A rate-limit service that knows these quotas of acme."""

    async def listed(asked, context):
        if asked.caller.consumer != "acme":
            await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
        return quotas_pb.QuotasReport(quotas=quotas)

    method = grpc.unary_unary_rpc_method_handler(
        listed,
        request_deserializer=quotas_pb.ListQuotasRequest.FromString,
        response_serializer=quotas_pb.QuotasReport.SerializeToString,
    )
    server = grpc.aio.server()
    service, name = METHOD[1:].split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: method}),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    made = Ledger(tmp_path, clock=StillClock(MONTH + 15 * 86_400.0))
    made.write(
        row(0, cost=3), row(1, status=429, limit="x"), row(2, policy=None), row(3, flags="UAEX", status=403),
        row(4, consumer="other"), metered(5), metered(6, plan="pro"), row(7, consumer=None),
    )  # fmt: skip
    made.read()
    return made


async def test_what_differs_is_told_by_usage_and_window(ledger, tmp_path):
    quotas = [
        quota("requests", 5, held=1),
        quota("tokens", 900),
        quota("usd", 140_000, quota="consumer/acme:usd"),
        quota("chat", 1),
        quota("requests", 9, quota="plan/free:by-subject", per={"subject": "alice"}),
    ]
    registry, database = CollectorRegistry(), Database(ledger.url, changes=False)
    socket = tmp_path / "limiter.sock"
    drift = Drift(
        Reader(database), UnixEndpoint(socket), registry=registry, clock=ledger.clock, log=structlog.get_logger()
    )
    async with limiter(socket, quotas), grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        compared = await drift.compare(channel)
        drift._show(compared)
    database.close()

    assert set(compared) == {
        Compared("requests", "month", 4, 4),
        Compared("tokens", "month", 900, 300),
        Compared("usd", "month", 140_000, 140_000),
        Compared("chat", "month", 1, 1),
    }
    told = {usage: {"usage": usage, "window": "month"} for usage in ("requests", "tokens", "usd")}
    assert [registry.get_sample_value("tollgate_ledger_quota_drift", labels) for labels in told.values()] == [0, 600, 0]


async def test_of_more_callers_than_are_compared_the_first_are(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("usage_ledger.drift.MOST_CALLERS", 1)
    monkeypatch.setattr("usage_ledger.reports.MOST_LINES", 2)
    database, socket = Database(ledger.url, changes=False), tmp_path / "limiter.sock"
    drift = Drift(
        Reader(database), UnixEndpoint(socket), registry=CollectorRegistry(), clock=ledger.clock,
        log=structlog.get_logger(),
    )  # fmt: skip
    async with limiter(socket, [quota("chat", 1)]), grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        compared = await drift.compare(channel)
    database.close()

    assert compared == ()  # the first is no consumer's


async def test_what_cannot_be_compared_any_more_is_not_told(ledger, tmp_path):
    registry, database, socket = CollectorRegistry(), Database(ledger.url, changes=False), tmp_path / "limiter.sock"
    drift = Drift(
        Reader(database), UnixEndpoint(socket), registry=registry, clock=ledger.clock, log=structlog.get_logger()
    )
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        async with limiter(socket, [quota("chat", 7)]):
            await drift.look(channel)
            assert registry.get_sample_value("tollgate_ledger_quotas_compared") == 1
        await drift.look(channel)
    database.close()

    labels = {"usage": "chat", "window": "month"}
    assert registry.get_sample_value("tollgate_ledger_quotas_compared") == 0
    assert registry.get_sample_value("tollgate_ledger_quota_drift", labels) is None
