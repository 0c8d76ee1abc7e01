"""The Prometheus endpoint of one process: its own registry, served as text on a socket of its own."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# Seconds; a decision takes tens of microseconds, a store or key fetch milliseconds.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


def process_registry() -> CollectorRegistry:
    """A registry with the process's own CPU, memory and file figures."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it bare; a second series for every counter, which nobody asks for
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def metrics_response(registry: CollectorRegistry) -> Response:
    """The registry in Prometheus text format."""
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def metrics_app(registry: CollectorRegistry) -> Starlette:
    """An ASGI app that answers `GET /metrics`."""

    async def metrics(_request: Request) -> Response:
        return metrics_response(registry)

    return Starlette(routes=[Route("/metrics", metrics)])
