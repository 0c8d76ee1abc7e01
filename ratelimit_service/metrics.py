"""What the service counts. Labels come from code and configuration alone, never from a request."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from service_kit.metrics import LATENCY_BUCKETS


class LimitMetrics:
    """The service's own series in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter("tollgate_ratelimit_decisions", "Calls by outcome", ["outcome"], registry=registry)
        self._refused = Counter(
            "tollgate_ratelimit_refused", "Calls refused by a rule", ["limit_set", "rule"], registry=registry
        )
        self._seconds = Histogram(
            "tollgate_ratelimit_decision_seconds", "Time of a decision", buckets=LATENCY_BUCKETS, registry=registry
        )
        self._store_errors = Counter("tollgate_ratelimit_store_errors", "Takes without an answer", registry=registry)
        self._store_seconds = Histogram(
            "tollgate_ratelimit_store_seconds",
            "Time of a take in the store",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def decided(self, outcome: str, seconds: float) -> None:
        self._decisions.labels(outcome).inc()
        self._seconds.observe(seconds)

    def refused(self, limit_set: str, rule: str) -> None:
        self._refused.labels(limit_set, rule).inc()

    def store_answered(self, seconds: float) -> None:
        self._store_seconds.observe(seconds)

    def store_failed(self) -> None:
        self._store_errors.inc()
