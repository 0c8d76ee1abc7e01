"""An endpoint watcher of a test, on the stand-in API server, through the real client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from control_plane.endpoints import EndpointWatcher, KubernetesApi, Moving
from control_plane.ir.model import CircuitBreaker, KubernetesService, Upstream
from service_kit.clock import SystemClock

BREAKER = CircuitBreaker(1024, 1024, 1024, 20.0, 3)


class Watched:
    """The watcher, and what it handed on."""

    def __init__(self, kubeconfig: Path, listens: Callable[[Moving], None]) -> None:
        self.registry = CollectorRegistry()
        self.told: list[Moving] = []

        def changed(moving: Moving) -> None:
            self.told.append(moving)
            listens(moving)

        self.watcher = EndpointWatcher(
            KubernetesApi(kubeconfig),
            clock=SystemClock(),
            log=structlog.get_logger(),
            registry=self.registry,
            random=lambda: 0.0,
            changed=changed,
        )

    def hosts(self, upstream: str = "email") -> list[str] | None:
        """The endpoints that are known now; None where nothing is."""
        found = self.watcher.current().get(upstream)
        return None if found is None else [f"{item.host}:{item.port}" for item in found]

    def is_at(self, *hosts: str, upstream: str = "email") -> Callable[[], bool]:
        return lambda: self.hosts(upstream) == list(hosts)

    def is_up(self) -> float:
        return self.registry.get_sample_value("tollgate_endpoints_source_up") or 0.0

    def count(self, upstream: str = "email") -> float | None:
        return self.registry.get_sample_value("tollgate_endpoints", {"upstream": upstream})


def upstream(name: str = "email", *, port: str | int = "http", service: str = "email") -> Upstream:
    return Upstream(name, (), 1.0, BREAKER, kubernetes=KubernetesService("default", service, port))


@asynccontextmanager
async def watching(kubeconfig: Path, *, listens: Callable[[Moving], None] = lambda _: None) -> AsyncIterator[Watched]:
    """A watcher at work that watches nothing yet."""
    found = Watched(kubeconfig, listens)
    task = asyncio.create_task(found.watcher.run())
    try:
        yield found
    finally:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError), result
