"""Requests make up no more than so many series."""

from prometheus_client import CollectorRegistry

from ratelimit_service.swap_in.decision import Applied, Standing
from ratelimit_service.swap_in.matching import match
from ratelimit_service.swap_in.metrics import MOST_NAMES, OTHER, SwapInMetrics
from ratelimit_service.swap_in.request import Descriptor
from ratelimit_service.swap_in.rules import Limit, Unit
from tests.support.swap_in import rules_of

RULES = rules_of(
    "{domain: a, descriptors: [{key: b, detailed_metric: true, rate_limit: {unit: day, requests_per_unit: 5}}]}"
)
LIMIT = Limit(5, Unit.DAY)


def counted(metrics, descriptor):
    metrics.counted([Applied(descriptor, match(RULES, "a", descriptor), Standing(LIMIT, 1, 1))])


def test_values_and_overrides_beyond_the_bound_are_one_series():
    registry = CollectorRegistry()
    metrics = SwapInMetrics(registry, near_limit=0.8)

    for number in range(MOST_NAMES + 2):
        counted(metrics, Descriptor((("b", str(number)),)))
    counted(metrics, Descriptor((("c", "d"),), override=LIMIT))
    counted(metrics, Descriptor((("b", "0"),)))

    def hits(rule):
        labels = {"rule": rule, "result": "within"}
        return registry.get_sample_value("tollgate_ratelimit_swap_in_hits_total", labels)

    assert (hits(OTHER), hits("a.b_0"), hits("a.c_d")) == (3, 2, None)
