"""What is told of a store: series for each of its states, and one log line for each change that an operator acts on."""

from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ratelimit_service.breaker import State
from ratelimit_service.failures import FailureKind
from ratelimit_service.survey import KEEPS_ALL, Survey
from service_kit.log import Logger
from service_kit.metrics import LATENCY_BUCKETS

STEPS_OF_A_ROUND_TRIP: Final = (1, 2, 4, 8, 16, 32, 64)


class StoreWatch(Protocol):
    """Who is told of a store's servers. Names of servers come from the address and, in a cluster, from the cluster."""

    def round_trip(self, seconds: float, steps: int) -> None: ...

    def failed(self, kind: FailureKind) -> None: ...

    def state(self, server: str, state: State, reason: str) -> None: ...

    def surveyed(self, server: str, survey: Survey) -> None: ...

    def left(self, server: str) -> None: ...


class Unwatched:
    """Tells nobody."""

    def round_trip(self, seconds: float, steps: int) -> None: ...

    def failed(self, kind: FailureKind) -> None: ...

    def state(self, server: str, state: State, reason: str) -> None: ...

    def surveyed(self, server: str, survey: Survey) -> None: ...

    def left(self, server: str) -> None: ...


class StoreMetrics:
    """Series in one registry, and the log."""

    def __init__(self, registry: CollectorRegistry, log: Logger) -> None:
        self._log = log
        self._states: dict[str, State] = {}
        self._surveys: dict[str, Survey] = {}
        self._round_trips = Histogram(
            "tollgate_ratelimit_store_round_trip_seconds",
            "Time of a round trip to a server of the store",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._steps = Histogram(
            "tollgate_ratelimit_store_round_trip_steps",
            "Steps that shared a round trip",
            buckets=STEPS_OF_A_ROUND_TRIP,
            registry=registry,
        )
        self._errors = Counter(
            "tollgate_ratelimit_store_errors", "Steps without an answer, by why", ["kind"], registry=registry
        )
        self._state = Gauge(
            "tollgate_ratelimit_store_state",
            "1 for the state that a server of the store is in: up, open (not asked) or half_open (tried)",
            ["server", "state"],
            registry=registry,
        )
        self._unsafe = Gauge(
            "tollgate_ratelimit_store_unsafe",
            "1 where a server of the store may lose counts: evicts (maxmemory-policy), forgets (no append-only file)",
            ["server", "what"],
            registry=registry,
        )
        for kind in FailureKind:
            self._errors.labels(kind.value)

    def round_trip(self, seconds: float, steps: int) -> None:
        self._round_trips.observe(seconds)
        self._steps.observe(steps)

    def failed(self, kind: FailureKind) -> None:
        self._errors.labels(kind.value).inc()

    def state(self, server: str, state: State, reason: str) -> None:
        before = self._states.get(server)
        self._states[server] = state
        for each in State:
            self._state.labels(server, each.value).set(each is state)
        if state is State.OPEN and before is State.UP:
            self._log.error("store down", server=server, reason=reason)
        if state is State.UP and before is State.HALF_OPEN:
            self._log.info("store up", server=server)

    def surveyed(self, server: str, survey: Survey) -> None:
        before = self._surveys.get(server)
        self._surveys[server] = survey
        self._unsafe.labels(server, "evicts").set(survey.evicts)
        self._unsafe.labels(server, "forgets").set(not survey.persists)
        if before == survey:
            return
        if survey.evicts:
            self._log.error(
                f"the store throws counters away when it is full: set its maxmemory-policy to {KEEPS_ALL}",
                server=server,
                policy=survey.policy,
            )
        if not survey.persists:
            self._log.warning("the store forgets all counts when it ends: set its appendonly to yes", server=server)

    def left(self, server: str) -> None:
        """The server is no part of the store any more."""
        if self._states.pop(server, None) is not None:
            for state in State:
                self._state.remove(server, state.value)
        if self._surveys.pop(server, None) is not None:
            for what in ("evicts", "forgets"):
                self._unsafe.remove(server, what)
