"""What the swap-in counts, per rule as envoyproxy/ratelimit does. Names that requests make up are bounded."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ratelimit_service.swap_in.decision import Applied, Standing
from ratelimit_service.swap_in.matching import Match
from service_kit.metrics import LATENCY_BUCKETS

# Names of rules that hold a value of a request; of all later ones the metric is one, called OTHER.
MOST_NAMES: Final = 1_000
OTHER: Final = "other"


class SwapInMetrics:
    """The series of the swap-in in one registry."""

    def __init__(self, registry: CollectorRegistry, *, near_limit: float) -> None:
        self._near_limit = near_limit
        self._of_requests: set[str] = set()
        self._calls = Counter(
            "tollgate_ratelimit_swap_in_calls", "Calls by outcome", ["outcome"], registry=registry
        )  # fmt: skip
        self._hits = Counter(
            "tollgate_ratelimit_swap_in_hits", "Hits by rule and result", ["rule", "result"], registry=registry
        )
        self._seconds = Histogram(
            "tollgate_ratelimit_swap_in_seconds", "Time of a decision", buckets=LATENCY_BUCKETS, registry=registry
        )
        self._loads = Counter(
            "tollgate_ratelimit_swap_in_config_loads", "Configurations read, by result", ["result"], registry=registry
        )
        self._domains = Gauge("tollgate_ratelimit_swap_in_domains", "Domains of the configuration", registry=registry)
        for result in ("success", "error"):
            self._loads.labels(result)

    def called(self, outcome: str, seconds: float) -> None:
        self._calls.labels(outcome).inc()
        self._seconds.observe(seconds)

    def loaded(self, domains: int) -> None:
        self._loads.labels("success").inc()
        self._domains.set(domains)

    def not_loaded(self) -> None:
        self._loads.labels("error").inc()

    def counted(self, rows: Sequence[Applied]) -> None:
        """The hits of a call."""
        for row in rows:
            if row.standing is not None and row.match is not None:
                self._rule(row, row.standing, self._name(row.match))

    def _rule(self, row: Applied, standing: Standing, name: str) -> None:
        for result, hits in results(row.descriptor.hits, standing, self._near_limit, is_shadowed=row.is_shadowed):
            if hits:
                self._hits.labels(name, result).inc(hits)

    def _name(self, found: Match) -> str:
        if not found.named_by_request or found.metric in self._of_requests:
            return found.metric
        if len(self._of_requests) >= MOST_NAMES:
            return OTHER
        self._of_requests.add(found.metric)
        return found.metric


def results(hits: int, standing: Standing, near_limit: float, *, is_shadowed: bool) -> tuple[tuple[str, int], ...]:
    """How many of a call's hits were what; `near` are those that used up the last part of the limit."""
    if hits < 0:
        return (("given_back", -hits),)
    limit = standing.limit.requests
    before = max(0, standing.count - hits)
    near = min(standing.count, limit) - max(int(limit * near_limit), before)
    over = min(hits, max(0, standing.count - limit))
    return (
        ("total", hits),
        ("within", 0 if standing.is_over else hits),
        ("near", min(hits, max(0, near))),
        ("over", over),
        ("shadow", over if is_shadowed else 0),
    )
