"""Quotas over mutual TLS: who may ask the rate-limit service for them, and who may ask it to decide."""

from collections.abc import AsyncIterator

import grpc
import pytest
import structlog
from prometheus_client import CollectorRegistry

from ratelimit_service.admin import SERVICE, QuotaAdmin, quotas_rpc
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.policy import PolicyTable
from ratelimit_service.server import METHOD, RateLimitHandler
from service_kit.contract import LIMIT_SET_TYPE
from service_kit.credentials import certificates
from service_kit.endpoint import TcpEndpoint
from service_kit.peer_calls import PeerCalls
from service_kit.serve import Service, guarded, server_port
from tests.support.certificates import Authority, client_credentials
from tests.support.clock import StillClock
from tests.support.counters import MemoryCounters
from tests.support.fleet import Fleet
from tests.support.limits import CONSUMER, call, identified, limit_set, quota
from tollgate_pb.tollgate.admin.v1 import quotas_pb2 as quotas_pb

ASKED = quotas_pb.ListQuotasRequest(caller=quotas_pb.Caller(consumer="mailer", plan="free"))
DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet"), Authority("fleet"))


@pytest.fixture
async def port(fleet: Fleet) -> AsyncIterator[int]:
    """Where a rate-limit service listens, with mutual TLS."""
    clock, registry, log = StillClock(), CollectorRegistry(), structlog.get_logger()
    policy, counters = PolicyTable(), MemoryCounters(clock)
    policy.apply(LIMIT_SET_TYPE, {"plan/free": limit_set(quota("email", 9, CONSUMER)), "route/email": limit_set()}, ())
    service = Service(
        name="limits",
        rpc=RateLimitHandler(policy=policy, counters=counters, metrics=LimitMetrics(registry), clock=clock, log=log),
        types=(LIMIT_SET_TYPE,),
        consumer=policy,
        registry=registry,
        admin=quotas_rpc(QuotaAdmin(policy=policy, counters=counters, forget=lambda _: None, log=log), log),
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(guarded(service, over_tls=True))
    tls = certificates(fleet.of("service"), log, registry)
    found = server_port(server, TcpEndpoint("localhost", 0), tls)
    await server.start()
    yield found
    await server.stop(None)


@pytest.mark.parametrize(
    ("role", "quotas", "decisions"),
    [
        pytest.param("control-plane", None, DENIED, id="control-plane"),
        pytest.param("admin", None, DENIED, id="admin"),
        pytest.param("envoy", DENIED, None, id="envoy"),
        pytest.param("service", DENIED, DENIED, id="another-service"),
    ],
)
async def test_who_may_ask(
    fleet: Fleet, port: int, role: str, quotas: grpc.StatusCode | None, decisions: grpc.StatusCode | None
) -> None:
    files = fleet.of(role)
    peer = certificates(files, structlog.get_logger(), CollectorRegistry())
    limiter = PeerCalls(SERVICE, TcpEndpoint("localhost", port), peer, longest=10)

    async def decide() -> None:
        async with grpc.aio.secure_channel(f"localhost:{port}", client_credentials(files)) as channel:
            await channel.unary_unary(METHOD)(call(identified()))

    async def code(asking: object) -> grpc.StatusCode | None:
        try:
            await asking  # type: ignore[misc]
        except grpc.aio.AioRpcError as error:
            return error.code()
        return None

    assert await code(limiter.call("ListQuotas", ASKED, quotas_pb.QuotasReport)) == quotas
    assert await code(decide()) == decisions
    await limiter.close()


async def test_a_control_plane_is_told_how_a_caller_stands(fleet: Fleet, port: int) -> None:
    peer = certificates(fleet.of("control-plane"), structlog.get_logger(), CollectorRegistry())
    limiter = PeerCalls(SERVICE, TcpEndpoint("localhost", port), peer, longest=10)

    report = await limiter.call("ListQuotas", ASKED, quotas_pb.QuotasReport)
    await limiter.close()

    assert [(state.usage, state.limit, dict(state.per)) for state in report.quotas] == [
        ("email", 9, {"consumer": "mailer"})
    ]
