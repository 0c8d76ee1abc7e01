"""One Prometheus endpoint for the gateway: our processes' metrics, each sample labelled by its process, and Envoy's."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service_kit.endpoint import Endpoint, UnixEndpoint

TIMEOUT = 1.0  # seconds; a hung process costs its own metrics, not the scrape
ENVOY = "envoy"


@dataclass(frozen=True)
class Target:
    """A process whose metrics are gathered."""

    process: str
    endpoint: Endpoint
    path: str = "/metrics"


async def gathered(own: CollectorRegistry, targets: Iterable[Target]) -> bytes:
    """Everything in Prometheus text format; `tollgate_scrape_up` says whose part is missing."""
    wanted = tuple(targets)
    texts = dict(zip((target.process for target in wanted), await asyncio.gather(*map(_fetched, wanted)), strict=True))
    ours = {"control_plane": generate_latest(own).decode()}
    ours |= {process: text for process, text in texts.items() if text is not None and process != ENVOY}
    merged = CollectorRegistry()
    merged.register(_Families([*labelled(ours), scrape_up(texts)]))
    return generate_latest(merged) + (texts.get(ENVOY) or "").encode()


def labelled(texts: Mapping[str, str]) -> Iterator[Metric]:
    """The families of all processes, one each, with the process as a label."""
    families: dict[str, Metric] = {}
    for process, text in texts.items():
        for family in text_string_to_metric_families(text):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.add_sample(sample.name, {**sample.labels, "process": process}, sample.value)
    yield from families.values()


def scrape_up(texts: Mapping[str, str | None]) -> Metric:
    """1 for each process that answered, 0 for each that did not."""
    metric = Metric("tollgate_scrape_up", "Whether the process's metrics could be read", "gauge")
    for process, text in texts.items():
        metric.add_sample("tollgate_scrape_up", {"process": process}, 0 if text is None else 1)
    return metric


class _Families:
    """Families as prometheus_client's registry takes them."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


async def _fetched(target: Target) -> str | None:
    uds = str(target.endpoint.path) if isinstance(target.endpoint, UnixEndpoint) else None
    host = "process" if isinstance(target.endpoint, UnixEndpoint) else str(target.endpoint)
    transport = httpx.AsyncHTTPTransport(uds=uds)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        try:
            async with asyncio.timeout(TIMEOUT):  # of the whole answer; httpx bounds each part of it
                response = await client.get(f"http://{host}{target.path}")
            response.raise_for_status()
        except (httpx.HTTPError, TimeoutError):
            return None
        return response.text if target.process == ENVOY or _readable(response.text) else None


def _readable(text: str) -> bool:
    """Whether it is Prometheus text: a process that answers something else must not cost the others' metrics."""
    try:
        list(text_string_to_metric_families(text))
    except ValueError:
        return False
    return True
