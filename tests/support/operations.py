"""A control plane for operators that says what a test tells it to, on a Unix socket, in a thread of its own."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from control_plane.admin.calls import Served
from control_plane.admin.models import models_rpc
from control_plane.admin.rpc import admin_rpc
from control_plane.operations.models import ModelReport, ModelsReport, NoSuchModel
from control_plane.operations.reports import (
    ConfigurationReport,
    HistoryEntry,
    HistoryReport,
    NodeReport,
    RollbackResult,
    Running,
    StatusReport,
    TypeReport,
    WiringReport,
    status_report,
)
from control_plane.xds.names import CLUSTER_TYPE
from service_kit.contract import ENVOY_NODE_CLUSTER
from service_kit.endpoint import Endpoint, TcpEndpoint, UnixEndpoint
from service_kit.serve import GRPC_OPTIONS
from service_kit.settings import TlsFiles
from tests.support.audit import audit_trail
from tests.support.ports import free_port

TOKEN = "the-admin-token-of-a-test"
ENVOY = NodeReport(
    node="e1",
    cluster=ENVOY_NODE_CLUSTER,
    protocol="delta",
    connected_at=1_000.0,
    converged=True,
    group="edge",
    user_agent="envoy 1.40.0",
    types={CLUSTER_TYPE: TypeReport(sent="aa", acked="aa", settled=True, since=1_001.0)},
)
CONFIGURATION = ConfigurationReport(source="gateway.yaml", live_since=1_000.0, digest="3f9a", number=7)
NOTHING_RUNS = Running({}, {}, WiringReport("unix:/run/authz.sock", "unix:/run/ratelimit.sock", "/dev/stdout"))


@dataclass
class StandIn:
    """Operations with the answers of a test; keeps what it was asked to roll back to."""

    report: StatusReport = field(default_factory=lambda: status_report(CONFIGURATION, [ENVOY]))
    entries: tuple[HistoryEntry, ...] = ()
    unavailable: str = ""
    result: RollbackResult | Exception = field(default_factory=lambda: RollbackResult(3, "77ab", held=True))
    runs: Running = NOTHING_RUNS
    asked: list[object] = field(default_factory=list)
    known: tuple[ModelReport, ...] = ()

    def status(self) -> StatusReport:
        return self.report

    async def history(self, limit: int) -> HistoryReport:
        self.asked.append(limit)
        return HistoryReport(self.entries[:limit], self.unavailable)

    async def rollback(self, number: int | None) -> RollbackResult:
        self.asked.append(number)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def running(self, key: bytes) -> Running:
        self.asked.append(key)
        return self.runs

    def models(self, name: str) -> ModelsReport:
        found = tuple(model for model in self.known if name in ("", model.name))
        if name and not found:
            raise NoSuchModel(f"there is no model {name!r}")
        return ModelsReport(found)


@contextmanager
def state_of(operations: StandIn, *, token: str = TOKEN) -> Iterator[Path]:
    """The state directory of a gateway that answers operators so; its admin token is the test's."""
    with tempfile.TemporaryDirectory(prefix="ops") as name:  # tmp_path may be too long for a socket
        folder = Path(name)
        (folder / "run").mkdir()
        (folder / "admin-token").write_text(f"{token}\n")
        with _serving(UnixEndpoint(folder / "run" / "xds.sock"), None, operations):
            yield folder


@contextmanager
def fleet_of(operations: StandIn, tls: TlsFiles) -> Iterator[str]:
    """The address of a control plane on TCP, by mutual TLS with these files."""
    endpoint = TcpEndpoint("127.0.0.1", free_port())
    with _serving(endpoint, tls, operations):
        yield f"localhost:{endpoint.port}"


@contextmanager
def _serving(endpoint: Endpoint, tls: TlsFiles | None, operations: StandIn) -> Iterator[None]:
    """A server beside the test: the commands block, as they do in a process of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(_started(endpoint, tls, operations), loop).result(10)
        yield
        asyncio.run_coroutine_threadsafe(server.stop(None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _started(endpoint: Endpoint, tls: TlsFiles | None, operations: StandIn) -> grpc.aio.Server:
    server = grpc.aio.server(options=GRPC_OPTIONS)
    trail = audit_trail()
    server.add_generic_rpc_handlers(
        (admin_rpc(operations, lambda: TOKEN, trail), models_rpc(Served(operations, lambda: TOKEN, trail)))
    )
    if tls is None:
        server.add_insecure_port(endpoint.grpc_target)
    else:
        pair = (tls.private_key.read_bytes(), tls.certificate.read_bytes())
        credentials = grpc.ssl_server_credentials([pair], tls.authority.read_bytes(), require_client_auth=True)
        server.add_secure_port(endpoint.grpc_target, credentials)
    await server.start()
    return server
