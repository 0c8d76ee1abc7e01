"""What the translator counts: calls by their pair and what came of them, the time they took, and those under way."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llm_translator.room import Room
from llm_translator.session import Outcome
from llm_translator.target import Target
from service_kit.metrics import LATENCY_BUCKETS

PAIR = ("dialect", "provider")


class TranslatorMetrics:
    """The translator's figures in one registry."""

    def __init__(self, registry: CollectorRegistry, room: Room) -> None:
        self._calls = Counter(
            "tollgate_translator_calls", "Calls by pair and what came of them.", (*PAIR, "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "tollgate_translator_seconds", "Time to translate a call: its request, and all of its answer.", PAIR,
            buckets=LATENCY_BUCKETS, registry=registry,
        )  # fmt: skip
        self._misdirected = Counter(
            "tollgate_translator_misdirected", "Calls that named no pair that is known.", registry=registry
        )
        self._open = Gauge("tollgate_translator_open_streams", "Calls under way.", registry=registry)
        gathered = Gauge(
            "tollgate_translator_gathered_bytes", "Requests that have not come to their end.", registry=registry
        )
        gathered.set_function(lambda: room.taken)

    def begun(self) -> None:
        self._open.inc()

    def ended(self, target: Target, outcome: Outcome, seconds: float) -> None:
        self._open.dec()
        self._calls.labels(target.dialect, target.provider, outcome).inc()
        self._seconds.labels(target.dialect, target.provider).observe(seconds)

    def misdirected(self) -> None:
        self._misdirected.inc()
