"""What dashboards read of calls of models, and that clients choose no name of a series."""

import pytest
from prometheus_client import CollectorRegistry

from tests.support.ledger import Ledger, of_model, row, unsettled
from tests.unit.usage_ledger.test_entries import entry
from usage_ledger.model_metrics import MOST_MODELS, ModelMetrics

FREE = {"tokens_in": 0, "tokens_out": 0, "tokens_total": 0, "tokens_reasoning": 0}
UNKNOWN = {"route": "chat:", "targets": None, "attempts": 0, "status": 404, **FREE}


class Counted:
    """Metrics of some rows."""

    def __init__(self, *rows):
        self.registry = CollectorRegistry()
        self.metrics = ModelMetrics(self.registry)
        for item in rows:
            self.metrics.count(entry(item))

    def value(self, name, model="llama3.1", **labels):
        return self.registry.get_sample_value(f"tollgate_llm_{name}", {"model": model, **labels})

    def outcomes(self):
        found = (sample for metric in self.registry.collect() for sample in metric.samples)
        return {
            (item.labels["upstream"], item.labels["outcome"]): item.value
            for item in found
            if item.name == "tollgate_llm_requests_total"
        }

    def series(self):
        return sum(len(metric.samples) for metric in self.registry.collect())


def test_a_call():
    counted = Counted(of_model(1), of_model(2))

    assert counted.outcomes() == {("cloud", "ok"): 2}
    tokens = {
        name: counted.value("tokens_total", direction=name) for name in ("input", "output", "reasoning", "cached")
    }
    assert tokens == {"input": 200, "output": 400, "reasoning": 80, "cached": None}
    assert counted.value("cost_dollars_total") == pytest.approx(0.00028)
    assert counted.value("first_token_seconds_count") == counted.value("output_tokens_per_second_count") == 2
    assert counted.value("first_token_seconds_sum") == 0.5
    assert counted.value("output_tokens_per_second_sum") == 400


@pytest.mark.parametrize(
    ("fields", "upstream", "outcome"),
    [
        pytest.param({"status": 503}, "cloud", "failed", id="an-error"),
        pytest.param({"status": 503, "attempts": 0}, "-", "failed", id="an-error-of-ours"),
        pytest.param({"flags": "UPE"}, "cloud", "failed", id="broken-off"),
        pytest.param({"status": 422}, "cloud", "rejected", id="by-the-upstream"),
        pytest.param({"status": 429}, "cloud", "rejected", id="the-upstreams-limit"),
        pytest.param({"status": 429, "attempts": 0}, "-", "refused", id="our-limit"),
        pytest.param({"status": 0}, "cloud", "left", id="before-an-answer"),
        pytest.param({"flags": "DC"}, "cloud", "left", id="in-an-answer"),
    ],
)
def test_what_becomes_of_a_call(fields, upstream, outcome):
    counted = Counted(of_model(1, **{**FREE, **fields}))

    assert counted.outcomes() == {(upstream, outcome): 1}
    assert counted.value("first_token_seconds_count") is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "invalid_request"), (401, "unauthenticated"), (402, "quota"), (403, "forbidden"), (413, "too_large"),
        (429, "limit"), (418, "other"),
    ],
)  # fmt: skip
def test_why_a_call_was_refused(status, reason):
    assert Counted(of_model(1, attempts=0, status=status, **FREE)).value("refusals_total", reason=reason) == 1


def test_words_of_clients_are_counted_together():
    counted = Counted(*(of_model(number, model=f"word-{number}", **UNKNOWN) for number in range(50)))

    assert counted.value("refusals_total", "-", reason="unknown_model") == 50
    assert counted.outcomes() == {("-", "refused"): 50}


@pytest.mark.parametrize("route", ["email", "models:1", "show:llama3.1", None])
def test_what_is_no_call_of_a_model_is_none(route):
    assert Counted(of_model(1, route=route)).outcomes() == {}


def test_models_that_come_and_go_do_not_grow_without_end():
    counted = Counted(*(of_model(number, route=f"chat:model-{number}") for number in range(MOST_MODELS + 5)))
    before = counted.series()
    counted.metrics.count(entry(of_model(1, route="chat:one-more")))

    assert counted.series() == before
    assert counted.value("tokens_total", "-", direction="input") == 600
    assert counted.value("tokens_total", "model-0", direction="input") == 100


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"duration_ms": 300}, id="all-at-once"),
        pytest.param({"tokens_in": 1, "tokens_out": 3, "tokens_total": 4}, id="few"),
        pytest.param(FREE, id="estimated"),
    ],
)
def test_what_is_no_stream_has_no_rate(fields):
    counted = Counted(of_model(1, **fields))

    assert counted.value("first_token_seconds_count") == 1
    assert counted.value("output_tokens_per_second_count") is None


def test_a_row_that_is_read_twice_counts_once(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.tell(unsettled(2))
    ledger.write(of_model(1), of_model(1), row(3))
    ledger.tail().finish()

    labels = {"model": "llama3.1", "upstream": "cloud", "outcome": "ok"}
    assert ledger.registry.get_sample_value("tollgate_llm_requests_total", labels) == 1
