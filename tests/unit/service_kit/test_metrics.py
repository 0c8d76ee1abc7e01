"""The metrics of one process: its own registry, answered as Prometheus text, on a socket of its own."""

import asyncio
import tempfile
from pathlib import Path

import httpx
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from service_kit.endpoint import UnixEndpoint
from service_kit.http import HttpServer
from service_kit.metrics import metrics_app, process_registry


def families(text: str) -> set[str]:
    return {family.name for family in text_string_to_metric_families(text)}


async def test_the_registry_is_answered_as_text() -> None:
    registry = process_registry()
    Counter("calls", "Calls", registry=registry).inc()
    transport = httpx.ASGITransport(metrics_app(registry))

    async with httpx.AsyncClient(transport=transport, base_url="http://process") as client:
        response = await client.get("/metrics")
        other = await client.get("/")

    assert response.headers["content-type"].startswith("text/plain")
    assert {"calls", "process_cpu_seconds"} <= families(response.text)
    assert "calls_created" not in response.text
    assert other.status_code == 404


def test_two_registries_share_nothing() -> None:
    first, second = process_registry(), process_registry()
    Counter("calls", "Calls", registry=first)
    Counter("calls", "Calls", registry=second)

    assert first.get_sample_value("calls_total") == 0


async def test_an_app_is_served_on_its_own_socket_until_it_is_stopped() -> None:
    with tempfile.TemporaryDirectory(prefix="m") as folder:
        path = Path(folder) / "m.sock"
        server = HttpServer(metrics_app(process_registry()), UnixEndpoint(path))
        task = asyncio.create_task(server.serve())
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
            response = await client.get("http://process/metrics")
        server.stop()
        await asyncio.wait_for(task, 10)

    assert response.status_code == 200
