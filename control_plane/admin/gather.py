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
    envoy = texts.get(ENVOY)  # big, and without names of ours: passed on as it is
    parsed = {process: _families(text) for process, text in texts.items() if process != ENVOY}
    ours = {process: families for process, families in parsed.items() if families is not None}
    up = {process: envoy is not None if process == ENVOY else process in ours for process in texts}
    merged = CollectorRegistry()
    merged.register(_Families([*labelled({"control_plane": own.collect(), **ours}), scrape_up(up)]))
    return generate_latest(merged) + (envoy or "").encode()


def labelled(processes: Mapping[str, Iterable[Metric]]) -> Iterator[Metric]:
    """The families of all processes, one each, with the process as a label."""
    merged: dict[str, Metric] = {}
    for process, families in processes.items():
        for family in families:
            one = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                one.add_sample(sample.name, {**sample.labels, "process": process}, sample.value)
    yield from merged.values()


def scrape_up(processes: Mapping[str, bool]) -> Metric:
    """1 for each process whose metrics could be read, 0 for each other."""
    metric = Metric("tollgate_scrape_up", "Whether the process's metrics could be read", "gauge")
    for process, up in processes.items():
        metric.add_sample("tollgate_scrape_up", {"process": process}, int(up))
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
    # no certificate is shown here, and to read those of all authorities takes longer than the rest
    transport = httpx.AsyncHTTPTransport(uds=uds, verify=False)
    async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False) as client:
        try:
            async with asyncio.timeout(TIMEOUT):  # of the whole answer; httpx bounds each part of it
                response = await client.get(f"http://{host}{target.path}")
            response.raise_for_status()
        except (httpx.HTTPError, TimeoutError):
            return None
        return response.text


def _families(text: str | None) -> list[Metric] | None:
    """The families in the text; None where a process answered something else, which costs nobody else's metrics."""
    try:
        return None if text is None else list(text_string_to_metric_families(text))
    except ValueError:
        return None
