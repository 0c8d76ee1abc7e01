"""What calls of language models came to, for dashboards: by the models of the configuration, and by no client's word.

Each call counts once, when its row is added. What no model took is counted together, as "-".
"""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from service_kit.contract import LLM_APIS, MISSING, MODEL_SIGN
from service_kit.metering import FIRST_ERROR, NANO_IN_DOLLAR
from usage_ledger.entries import CALL, Entry
from usage_ledger.sums import FIRST_FAILURE, LIMITED, MILLISECONDS

# Models that come and go: above so many names the later ones are counted as "-".
MOST_MODELS: Final = 2_000
FIRST_TOKEN: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
RATES: Final = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 250, 500, 1000)
# An answer that comes as one has no rate: milliseconds from its first byte to its end, and tokens.
SHORTEST_STREAM: Final = 100
FEWEST_TOKENS: Final = 10
# Why the gateway itself refused a call, by status.
REASONS: Final[Mapping[int, str]] = {
    400: "invalid_request", 401: "unauthenticated", 402: "quota", 403: "forbidden", 404: "unknown_model",
    413: "too_large", 429: "limit",
}  # fmt: skip
# Envoy's flags of streams that ended before their end: the client went, and the upstream did.
LEFT: Final = frozenset({"DC", "DR"})
BROKEN: Final = frozenset({"UC", "UT", "UPE", "UR", "SI", "UMSDR", "DT"})


class ModelMetrics:
    """Counters of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._models: set[str] = set()
        self._requests = Counter(
            "tollgate_llm_requests",
            "Calls of language models, by who was asked last, and what became of them: ok, refused (by the gateway), "
            "rejected (by the upstream), failed, or left (by the client)",
            ["model", "upstream", "outcome"],
            registry=registry,
        )
        self._refusals = Counter(
            "tollgate_llm_refusals", "Calls that the gateway refused, and why", ["model", "reason"], registry=registry
        )
        self._tokens = Counter(
            "tollgate_llm_tokens",
            "Tokens as they are charged: input and output; cached ones are some of input, reasoning some of output",
            ["model", "direction"],
            registry=registry,
        )
        self._cost = Counter(
            "tollgate_llm_cost_dollars", "What calls cost, by prices of the configuration", ["model"], registry=registry
        )
        self._first_token = Histogram(
            "tollgate_llm_first_token_seconds",
            "From a call to the first byte of the answer's body, failed attempts included",
            ["model"],
            buckets=FIRST_TOKEN,
            registry=registry,
        )
        self._rate = Histogram(
            "tollgate_llm_output_tokens_per_second",
            "Output tokens of a stream by the time from its first byte to its end",
            ["model"],
            buckets=RATES,
            registry=registry,
        )

    def count(self, entry: Entry) -> None:
        """Takes in a row that was added."""
        model = self._model(entry)
        if model is None:
            return
        found = outcome(entry)
        self._requests.labels(model, entry.upstream or MISSING, found).inc()
        if found == "refused":
            self._refusals.labels(model, REASONS.get(entry.status, "other")).inc()
        elif found == "ok":
            self._time(model, entry)
        self._charge(model, entry)

    def _model(self, entry: Entry) -> str | None:
        """The name behind the route's sign; None where the call is none of a model."""
        api, _, model = (entry.route or "").partition(MODEL_SIGN)
        if entry.kind != CALL or MODEL_SIGN not in (entry.route or "") or api not in LLM_APIS:
            return None
        if not model or (model not in self._models and len(self._models) >= MOST_MODELS):
            return MISSING
        self._models.add(model)
        return model

    def _charge(self, model: str, entry: Entry) -> None:
        tokens = {
            "input": entry.tokens_in,
            "output": entry.tokens_out,
            "cached": entry.tokens_cached,
            "reasoning": entry.tokens_reasoning or 0,
        }
        for direction, count in tokens.items():
            if count:
                self._tokens.labels(model, direction).inc(count)
        self._cost.labels(model).inc(entry.amount / NANO_IN_DOLLAR)

    def _time(self, model: str, entry: Entry) -> None:
        first = entry.first_token_ms
        if first is None:
            return
        self._first_token.labels(model).observe(first / MILLISECONDS)
        streamed = entry.duration_ms - first
        if streamed >= SHORTEST_STREAM and entry.tokens_out >= FEWEST_TOKENS and not entry.estimated:
            self._rate.labels(model).observe(entry.tokens_out * MILLISECONDS / streamed)


def outcome(entry: Entry) -> str:
    """What became of a call."""
    flags = frozenset((entry.flags or "").split(","))
    if entry.status >= FIRST_FAILURE:
        return "failed"
    if entry.status >= FIRST_ERROR:
        return "refused" if entry.upstream is None or LIMITED in flags else "rejected"
    if entry.status == 0 or flags & LEFT:
        return "left"
    return "failed" if flags & BROKEN else "ok"
