"""Whether counters and ledger agree: the quotas of each caller of this month beside the sums of its rows.

They are told of each call by different ways, and a moment apart: a difference that goes away is traffic, one that stays
is calls that were counted and not logged, or the other way round.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import grpc
from prometheus_client import CollectorRegistry, Gauge

from service_kit.clock import Clock
from service_kit.contract import MISSING, USAGE_REQUESTS, USAGE_TOKENS, USAGE_USD, plan_limits_name
from service_kit.endpoint import UnixEndpoint
from service_kit.log import Logger
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb
from usage_ledger.errors import LedgerUnavailable
from usage_ledger.reader import Reader
from usage_ledger.reports import DAY, BadQuestion, Question

METHOD: Final = "/tollgate.admin.v1.QuotaAdmin/ListQuotas"
# What a caller is, and the sums are told apart by.
CALLER: Final = ("consumer", "tenant", "plan")
# Callers of one comparison.
MOST_CALLERS: Final = 500
# Seconds between two comparisons, and for one answer.
EVERY: Final = 30.0
LONGEST_ANSWER: Final = 5.0


@dataclass(frozen=True)
class Compared:
    """A counter, and what the rows say of it: of dollars, in billionths."""

    usage: str
    window: str
    counted: int
    ledger: int


class Drift:
    """Compares, as long as it runs."""

    def __init__(
        self, reader: Reader, limiter: UnixEndpoint, *, registry: CollectorRegistry, clock: Clock, log: Logger
    ) -> None:
        self._reader = reader
        self._limiter = limiter
        self._clock = clock
        self._log = log
        self._gauge = Gauge(
            "tollgate_ledger_quota_drift",
            "Difference of quota counters and ledger, summed over counters",
            ["usage", "window"],
            registry=registry,
        )
        self._compared = Gauge("tollgate_ledger_quotas_compared", "Counters that were compared", registry=registry)

    async def follow(self) -> None:
        """Until cancelled; what cannot be asked now is asked again."""
        async with grpc.aio.insecure_channel(self._limiter.grpc_target) as channel:
            while True:
                await self.look(channel)
                await asyncio.sleep(EVERY)

    async def look(self, channel: grpc.aio.Channel) -> None:
        """Compares, and shows what differs; nothing where nobody can tell: what was is no answer."""
        try:
            self._show(await self.compare(channel))
        except (grpc.aio.AioRpcError, LedgerUnavailable, BadQuestion) as error:
            self._show(())
            self._log.debug("quotas and ledger not compared", reason=str(error))

    async def compare(self, channel: grpc.aio.Channel) -> tuple[Compared, ...]:
        """Every counter of this month's callers whose rows can be told from others."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        month = int(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())
        lines = await self._reader.report(Question(CALLER, month, most=MOST_CALLERS))
        found: dict[tuple[object, ...], Compared] = {}
        for line in lines:
            caller = {name: str(value) for name, value in zip(CALLER, line.parts, strict=True) if value != MISSING}
            for quota in await _quotas(channel, caller) if "consumer" in caller else ():
                key = (quota.quota, *sorted(quota.per.items()))
                if key not in found and set(quota.per) <= set(CALLER) and quota.begins % DAY == 0:
                    found[key] = await self._one(quota, caller)
        return tuple(found.values())

    async def _one(self, quota: quotas_pb.QuotaState, caller: dict[str, str]) -> Compared:
        only = dict(quota.per)
        if quota.quota.startswith(f"{plan_limits_name(caller.get('plan', ''))}:"):
            only["plan"] = caller["plan"]
        if quota.usage not in (USAGE_REQUESTS, USAGE_TOKENS, USAGE_USD):
            only["usage"] = quota.usage
        lines = await self._reader.report(Question((), quota.begins, only=only))
        sums = lines[0].sums if lines else defaultdict(int)
        counted = {USAGE_TOKENS: sums["tokens_in"] + sums["tokens_out"], USAGE_USD: sums["amount"]}
        return Compared(quota.usage, quota.window, quota.used - quota.held, counted.get(quota.usage, sums["units"]))

    def _show(self, compared: Sequence[Compared]) -> None:
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for item in compared:
            sums[item.usage, item.window] += abs(item.counted - item.ledger)
        self._compared.set(len(compared))
        self._gauge.clear()
        for (usage, window), difference in sums.items():
            self._gauge.labels(usage, window).set(difference)


async def _quotas(channel: grpc.aio.Channel, caller: dict[str, str]) -> Iterable[quotas_pb.QuotaState]:
    call: grpc.aio.UnaryUnaryMultiCallable[quotas_pb.ListQuotasRequest, quotas_pb.QuotasReport] = channel.unary_unary(
        METHOD,
        request_serializer=quotas_pb.ListQuotasRequest.SerializeToString,
        response_deserializer=quotas_pb.QuotasReport.FromString,
    )
    try:
        answer = await call(quotas_pb.ListQuotasRequest(caller=quotas_pb.Caller(**caller)), timeout=LONGEST_ANSWER)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:  # its plan is no more
            return ()
        raise
    return answer.quotas
