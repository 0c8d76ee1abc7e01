"""What the authorizer counts: decisions by outcome, their time, and whether a verified token was remembered."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from service_kit.metrics import LATENCY_BUCKETS


class Metrics:
    """The authorizer's figures in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter(
            "tollgate_authz_decisions", "Decisions by outcome and code.", ("outcome", "code"), registry=registry
        )
        self._seconds = Histogram(
            "tollgate_authz_decision_seconds", "Time to decide.", buckets=LATENCY_BUCKETS, registry=registry
        )
        self._lookups = Counter(
            "tollgate_authz_token_cache", "Lookups of verified tokens.", ("result",), registry=registry
        )

    def decided(self, *, outcome: str, code: str, seconds: float) -> None:
        self._decisions.labels(outcome, code).inc()
        self._seconds.observe(seconds)

    def looked_up(self, result: str) -> None:
        self._lookups.labels(result).inc()
