"""What is counted of decisions and ends; every label is a name of the configuration."""

import pytest
from prometheus_client import CollectorRegistry

from ratelimit_service.claims import Calendar, CalendarUnit
from ratelimit_service.cost import Charges, Cost
from ratelimit_service.limiter import Admitted, Refused, Repeated, Standing, TooDear, Unidentified
from ratelimit_service.metrics import LimitMetrics
from ratelimit_service.policy import Dimension, Rule
from ratelimit_service.settlement import Ending, Settlement
from ratelimit_service.windows import Window

LIMIT = Rule("route/a", "minute", "requests", Window(5, 60_000_000), (Dimension.SUBJECT,))
QUOTA = Rule("plan/p", "month", "email", Calendar(5, CalendarUnit.MONTH), (Dimension.CONSUMER,))


def standing(rule):
    return Standing(rule, 1, 5, 5, 10, 10)


def value(registry, name, rule=None, **labels):
    named = {} if rule is None else {"limit_set": rule.set_name, "rule": rule.id}
    return registry.get_sample_value(f"tollgate_ratelimit_{name}_total", {**named, **labels})


@pytest.mark.parametrize(
    ("decision", "rule", "outcome", "kind"),
    [
        pytest.param(Refused(None, standing(LIMIT), Cost(1)), LIMIT, "refused", "limit", id="limit"),
        pytest.param(Refused(None, standing(QUOTA), Cost(1)), QUOTA, "refused", "quota", id="quota"),
        pytest.param(TooDear(QUOTA, 5, Cost(1)), QUOTA, "toodear", "request", id="too-dear"),
        pytest.param(Unidentified(LIMIT, Dimension.SUBJECT), LIMIT, "unidentified", "caller", id="nobody"),
    ],
)
def test_refusals_are_counted_by_rule_and_kind(decision, rule, outcome, kind):
    registry = CollectorRegistry()

    LimitMetrics(registry).decided(decision, 0.1)

    assert value(registry, "refused", rule, kind=kind) == 1
    assert value(registry, "decisions", outcome=outcome) == 1


def test_admissions_tell_what_they_hold_and_what_would_have_been():
    registry = CollectorRegistry()
    metrics = LimitMetrics(registry)

    metrics.decided(Admitted(warnings=(standing(QUOTA),), would_refuse=(LIMIT,), holds=True), 0.1)
    metrics.decided(Admitted(), 0.1)
    metrics.decided(Repeated("h"), 0.1)

    assert value(registry, "quota_warnings", QUOTA) == value(registry, "would_refuse", LIMIT) == 1
    assert value(registry, "holds") == value(registry, "repeated_holds") == 1
    assert value(registry, "decisions", outcome="admitted") == 2


def test_only_what_was_charged_is_overshoot():
    registry = CollectorRegistry()
    metrics = LimitMetrics(registry)

    for ending in Ending:
        metrics.settled(Settlement(ending, Charges(beyond=7)))

    assert value(registry, "overshoot_tokens") == 14
    assert [value(registry, "settlements", result=ending.value) for ending in Ending] == [1] * len(Ending)
