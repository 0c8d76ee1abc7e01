"""What shapes traffic on a route beside its limits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cors:
    """Which web pages may call a route; `max_age` in seconds."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    expose: tuple[str, ...]
    credentials: bool
    max_age: int


@dataclass(frozen=True)
class Bandwidth:
    """Bytes a second, of all requests of the route at one Envoy; None: unbounded."""

    upload: int | None
    download: int | None


@dataclass(frozen=True)
class Fault:
    """Trouble on purpose: a delay in seconds and an error's status, each for a share of requests in percent."""

    delay: float | None
    delay_percent: float
    abort_status: int | None
    abort_percent: float


@dataclass(frozen=True)
class AdaptiveConcurrency:
    """A gradient controller: bounds requests under way by their latency; `interval` in seconds."""

    max_concurrency: int
    min_concurrency: int
    interval: float
    percentile: float
