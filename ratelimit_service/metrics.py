"""What the service counts. Labels come from code and configuration alone, never from a request."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from ratelimit_service.limiter import Admitted, Decision, Refused, Repeated, TooDear, Unidentified
from ratelimit_service.policy import Rule
from ratelimit_service.settlement import Ending, Settlement
from service_kit.contract import KIND_CALLER, KIND_LIMIT, KIND_QUOTA, KIND_REQUEST
from service_kit.metrics import LATENCY_BUCKETS

OF_A_RULE: Final = ("limit_set", "rule")


class LimitMetrics:
    """The service's own series in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"tollgate_ratelimit_{name}", what, labels, registry=registry)

        self._decisions = counter("decisions", "Calls by outcome", "outcome")
        self._refused = counter("refused", "Calls refused by a rule", *OF_A_RULE, "kind")
        self._would_refuse = counter("would_refuse", "Calls that a rule in report mode would refuse", *OF_A_RULE)
        self._warnings = counter("quota_warnings", "Calls that were told of a quota that is almost spent", *OF_A_RULE)
        self._holds = counter("holds", "Calls that took tokens, money or a place until their end")
        self._settlements = counter("settlements", "Ends of streams, by what became of what they held", "result")
        self._overshoot = counter("overshoot_tokens", "Tokens that calls came to beyond what was held for them")
        self._repeated = counter("repeated_holds", "Calls with the id of one that was under way: an alarm")
        self._abandoned = counter("abandoned_holds", "Calls whose caller hung up before the answer: given back")
        self._unsettled = counter("unsettled_holds", "Calls whose end never came: charged as they were held")
        self._seconds = Histogram(
            "tollgate_ratelimit_decision_seconds", "Time of a decision", buckets=LATENCY_BUCKETS, registry=registry
        )
        for ending in Ending:
            self._settlements.labels(ending.value)

    def decided(self, decision: Decision, seconds: float) -> None:
        """A call, and what of it is counted by rule."""
        self.answered(type(decision).__name__.lower())
        self._seconds.observe(seconds)
        match decision:
            case Admitted():
                self._admitted(decision)
            case Refused(longest=longest):
                self._refuse(longest.rule, KIND_QUOTA if longest.rule.is_quota else KIND_LIMIT)
            case TooDear(rule=rule):
                self._refuse(rule, KIND_REQUEST)
            case Unidentified(rule=rule):
                self._refuse(rule, KIND_CALLER)
            case Repeated():
                self._repeated.inc()

    def answered(self, outcome: str) -> None:
        """A call by outcome."""
        self._decisions.labels(outcome).inc()

    def settled(self, settlement: Settlement) -> None:
        """The end of a stream."""
        self._settlements.labels(settlement.ending.value).inc()
        if settlement.ending in (Ending.SETTLED, Ending.ESTIMATED):
            self._overshoot.inc(settlement.charges.beyond)

    def abandoned(self) -> None:
        """A call that was given back, since nobody waited for the answer."""
        self._abandoned.inc()

    def unsettled(self, holds: int) -> None:
        """Calls whose end never came."""
        self._unsettled.inc(holds)

    def _admitted(self, decision: Admitted) -> None:
        if decision.holds:
            self._holds.inc()
        for rule in decision.would_refuse:
            self._would_refuse.labels(rule.set_name, rule.id).inc()
        for standing in decision.warnings:
            self._warnings.labels(standing.rule.set_name, standing.rule.id).inc()

    def _refuse(self, rule: Rule, kind: str) -> None:
        self._refused.labels(rule.set_name, rule.id, kind).inc()
