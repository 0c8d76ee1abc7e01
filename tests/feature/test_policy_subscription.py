"""A service's policies: from the wire, from disk while the control plane is away, refused with a reason."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from envoy.service.discovery.v3 import discovery_pb2 as discovery_pb
from google.protobuf import any_pb2 as any_pb
from prometheus_client import CollectorRegistry

from control_plane.server.types import SERVICES
from control_plane.snapshot import Resource, resource, snapshot
from service_kit import credentials
from service_kit.clock import SystemClock
from service_kit.contract import AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE
from service_kit.endpoint import Endpoint, EndpointError, TcpEndpoint, UnixEndpoint
from service_kit.policy_cache import CacheError, Held, Policies, load_policies, save_policies
from service_kit.settings import TlsFiles
from service_kit.subscription import DELTA_METHOD, PolicyRejected, PolicySubscription
from tests.support.certificates import certificates
from tests.support.eventually import eventually
from tests.support.xds import ControlPlane, control_plane, refuses

BAD = b"bad"


@dataclass
class Recorder:
    """A consumer that holds what it took and refuses `BAD`."""

    held: dict[str, dict[str, bytes]] = field(default_factory=dict)
    calls: int = 0

    def apply(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        self.calls += 1
        if BAD in changed.values():
            raise PolicyRejected("this policy is bad")
        named = self.held.setdefault(type_url, {})
        named.update(changed)
        for name in removed:
            named.pop(name, None)

    @property
    def awaits(self) -> Collection[str]:
        return ()


@dataclass
class Subscriber:
    """A subscription at work and what it has brought."""

    subscription: PolicySubscription
    consumer: Recorder
    registry: CollectorRegistry

    @property
    def authz(self) -> dict[str, bytes]:
        return self.consumer.held.get(AUTHZ_POLICY_TYPE, {})

    async def ready(self) -> None:
        await asyncio.wait_for(self.subscription.ready.wait(), 10)


@asynccontextmanager
async def subscriber(at: Endpoint, cache: Path, tls: TlsFiles | None = None) -> AsyncIterator[Subscriber]:
    consumer, registry = Recorder(), CollectorRegistry()
    subscription = PolicySubscription(
        control_plane=at,
        tls=None if tls is None else credentials.certificates(tls, structlog.get_logger(), registry),
        node_id="authz_service-test",
        types=(AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE),
        consumer=consumer,
        cache=cache,
        log=structlog.get_logger(),
        clock=SystemClock(),
        registry=registry,
    )
    task = asyncio.create_task(subscription.run())
    try:
        yield Subscriber(subscription, consumer, registry)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def authz(body: bytes, name: str = "default") -> Resource:
    return resource(AUTHZ_POLICY_TYPE, name, body)


def serve(xds: ControlPlane, *policies: Resource) -> None:
    xds.ads.set_snapshot(SERVICES.cluster, snapshot(policies))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def readable(path: Path) -> Policies:
    try:
        return load_policies(path) or {}
    except CacheError:
        return {}


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "authz.policies"


async def test_policies_arrive_change_and_go(cache: Path) -> None:
    async with control_plane() as xds, subscriber(xds.endpoint, cache) as service:
        serve(xds, authz(b"1"), authz(b"2", "other"))
        await service.ready()
        await eventually(lambda: service.authz == {"default": b"1", "other": b"2"})

        serve(xds, authz(b"3"))
        await eventually(lambda: service.authz == {"default": b"3"})
        await eventually(lambda: xds.ads.converged(SERVICES.cluster))


async def test_a_service_without_any_policy_is_ready_once_it_knows_that_there_is_none(cache: Path) -> None:
    async with control_plane() as xds, subscriber(xds.endpoint, cache) as service:
        serve(xds)
        await service.ready()

        assert service.consumer.held == {AUTHZ_POLICY_TYPE: {}, LIMIT_SET_TYPE: {}}


async def test_a_service_starts_from_disk_and_applies_what_changed_when_the_control_plane_is_back(
    cache: Path, tmp_path: Path
) -> None:
    async with control_plane() as xds, subscriber(xds.endpoint, cache) as service:
        serve(xds, authz(b"1"), resource(LIMIT_SET_TYPE, "route/a", b"l"))
        everything = {AUTHZ_POLICY_TYPE: {"default": b"1"}, LIMIT_SET_TYPE: {"route/a": b"l"}}
        await eventually(lambda: service.consumer.held == everything)
        await eventually(lambda: len(load_policies(cache) or {}) == 2)
    assert mode(cache) == 0o600

    at = UnixEndpoint(tmp_path / "x.sock")
    async with subscriber(at, cache) as service:
        await service.ready()
        assert service.authz == {"default": b"1"}

        async with control_plane(at) as xds:
            serve(xds, authz(b"2"), resource(LIMIT_SET_TYPE, "route/a", b"l"))
            await eventually(lambda: service.authz == {"default": b"2"})
            await eventually(lambda: xds.ads.converged(SERVICES.cluster) and xds.ads.statuses())
            assert service.consumer.calls == 3, "two types from disk, one change from the wire"


async def test_a_rejected_policy_is_refused_with_its_reason_and_the_last_good_one_stays(cache: Path) -> None:
    async with control_plane() as xds, subscriber(xds.endpoint, cache) as service:
        serve(xds, authz(b"1"))
        await service.ready()
        await eventually(lambda: service.authz == {"default": b"1"})
        serve(xds, authz(BAD))
        await eventually(lambda: refuses(xds.ads, SERVICES.cluster))

        (status,) = xds.ads.statuses()
        refusal = status.types[AUTHZ_POLICY_TYPE].refusal
        assert refusal is not None
        assert refusal.message == "this policy is bad"
        assert service.authz == {"default": b"1"}
        held = load_policies(cache)
        assert held is not None
        assert held[AUTHZ_POLICY_TYPE]["default"].body == b"1"

        serve(xds, authz(b"2"))
        await eventually(lambda: service.authz == {"default": b"2"})
        await eventually(lambda: xds.ads.converged(SERVICES.cluster))


async def test_a_service_whose_first_policy_is_bad_is_not_ready(cache: Path) -> None:
    async with control_plane() as xds:
        serve(xds, authz(BAD))
        async with subscriber(xds.endpoint, cache) as service:
            await eventually(lambda: refuses(xds.ads, SERVICES.cluster))

            assert not service.subscription.ready.is_set()


@pytest.fixture(
    params=[
        pytest.param(b"", id="empty"),
        pytest.param(b"something else\n", id="foreign"),
        pytest.param(b'tollgate-policies-1\n0000\n{"a": {}}', id="wrong checksum"),
        pytest.param(b"\xff\xfe\n\n\n", id="binary"),
    ]
)
def worthless(request: pytest.FixtureRequest, cache: Path) -> Path:
    cache.write_bytes(request.param)
    return cache


async def test_a_cache_that_cannot_be_trusted_is_no_cache(worthless: Path) -> None:
    async with control_plane() as xds, subscriber(xds.endpoint, worthless) as service:
        serve(xds, authz(b"1"))
        await eventually(lambda: service.authz == {"default": b"1"})
        await eventually(lambda: AUTHZ_POLICY_TYPE in readable(worthless))


async def test_a_torn_cache_is_no_cache(cache: Path, tmp_path: Path) -> None:
    async with control_plane() as xds, subscriber(xds.endpoint, cache) as service:
        serve(xds, authz(b"1"))
        await service.ready()
        await eventually(cache.exists)
    tear(cache)

    async with subscriber(UnixEndpoint(tmp_path / "nobody.sock"), cache) as service:
        await eventually(lambda: service.registry.get_sample_value("tollgate_policy_connected") == 0)
        assert not service.subscription.ready.is_set()


async def test_a_policy_of_disk_that_is_refused_today_is_taken_from_the_wire(cache: Path) -> None:
    """A newer service may refuse what an older one took."""
    save_policies(cache, {AUTHZ_POLICY_TYPE: {"default": Held("v", BAD)}, LIMIT_SET_TYPE: {}})
    async with control_plane() as xds:
        serve(xds, authz(b"1"))
        async with subscriber(xds.endpoint, cache) as service:
            await service.ready()
            assert service.authz == {"default": b"1"}


async def test_policies_over_tcp_need_mutual_tls(cache: Path, tmp_path: Path) -> None:
    files = certificates(tmp_path)
    async with control_plane(TcpEndpoint("127.0.0.1", 0), tls=files) as xds:
        serve(xds, authz(b"1"))
        at = TcpEndpoint("localhost", xds.server.port)
        async with subscriber(at, cache, files) as service:
            await eventually(lambda: service.authz == {"default": b"1"})


async def test_a_service_takes_no_policy_from_an_unproven_control_plane(cache: Path) -> None:
    async with subscriber(TcpEndpoint("127.0.0.1", 1), cache) as service:
        with pytest.raises(EndpointError, match="--tls-certificate"):
            await service.subscription.run()


@dataclass
class Impostor:
    """A control plane that says these bytes on every stream, and keeps what it is told after them."""

    says: Sequence[bytes]
    streams: int = 0
    told: list[Any] = field(default_factory=list)

    async def stream(self, _requests: object, context: Any) -> None:
        self.streams += 1
        for data in self.says:
            await context.write(data)
        while (data := await context.read()) is not grpc.aio.EOF:
            self.told.append(discovery_pb.DeltaDiscoveryRequest.FromString(data))


@asynccontextmanager
async def impostor(folder: Path, *says: bytes) -> AsyncIterator[tuple[Impostor, Endpoint]]:
    found, at = Impostor(says), UnixEndpoint(folder / "i.sock")
    service, _, method = DELTA_METHOD[1:].partition("/")
    handlers = {method: grpc.stream_stream_rpc_method_handler(found.stream)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(at.grpc_target)
    await server.start()
    try:
        yield found, at
    finally:
        await server.stop(0)


def response(body: bytes, type_url: str = AUTHZ_POLICY_TYPE, name: str = "default") -> bytes:
    item = discovery_pb.Resource(name=name, version="1", resource=any_pb.Any(type_url=type_url, value=body))
    said = discovery_pb.DeltaDiscoveryResponse(type_url=AUTHZ_POLICY_TYPE, nonce="n", resources=[item])
    data: bytes = said.SerializeToString()
    return data


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"\xff\xff\xff", id="no message"),
        pytest.param(response(b"2", name="abcd").replace(b"abcd", b"\xff\xfe\xfd\xfc"), id="no text"),
    ],
)
async def test_a_control_plane_that_makes_no_sense_is_asked_again_and_the_last_good_policy_stays(
    cache: Path, tmp_path: Path, noise: bytes
) -> None:
    async with impostor(tmp_path, response(b"1"), noise) as (found, at), subscriber(at, cache) as service:
        await eventually(lambda: found.streams >= 3)

        assert found.streams <= service.consumer.calls + 1
        assert service.authz == {"default": b"1"}


async def test_a_resource_of_another_type_is_refused(cache: Path, tmp_path: Path) -> None:
    async with impostor(tmp_path, response(b"1", LIMIT_SET_TYPE)) as (found, at), subscriber(at, cache) as service:
        answer = await eventually(lambda: next((item for item in found.told if item.response_nonce), None))

        assert LIMIT_SET_TYPE in answer.error_detail.message
        assert service.consumer.calls == 0
