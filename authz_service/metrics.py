"""What the authorizer counts: decisions by outcome, their time, what was only reported, and what it holds."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self._would_deny = Counter(
            "tollgate_authz_would_deny", "Refusals that were reported and not enforced, by code.", ("code",),
            registry=registry,
        )  # fmt: skip
        self._stored = Gauge(
            "tollgate_authz_stored", "Keys and consumers made at run time that are known.", ("kind",), registry=registry
        )
        self._tokens = Counter(
            "tollgate_authz_token_requests", "Requests for the gateway's own tokens, by answer.", ("code",),
            registry=registry,
        )  # fmt: skip
        self._lookups = Counter(
            "tollgate_authz_token_cache", "Lookups of verified tokens.", ("result",), registry=registry
        )

    def decided(self, *, outcome: str, code: str, seconds: float) -> None:
        self._decisions.labels(outcome, code).inc()
        self._seconds.observe(seconds)

    def would_deny(self, code: str) -> None:
        self._would_deny.labels(code).inc()

    def stored(self, *, keys: int, consumers: int) -> None:
        self._stored.labels("keys").set(keys)
        self._stored.labels("consumers").set(consumers)

    def asked_for_token(self, code: str) -> None:
        self._tokens.labels(code).inc()

    def looked_up(self, result: str) -> None:
        self._lookups.labels(result).inc()
