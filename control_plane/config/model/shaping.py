"""What shapes traffic on a route beside its limits: browsers' rules, speed, trouble on purpose, load, and a cache."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from control_plane.config.model.base import Model, Some, Unique
from control_plane.config.model.retries import Method
from control_plane.config.values.base import Mistake
from control_plane.config.values.network import Origin
from control_plane.config.values.quantities import Between, Percent, Seconds, Size, written_size
from control_plane.config.values.text import HeaderName

# Envoy counts whole KiB a second.
SLOWEST = 2**10
FASTEST = 2**40


class Cors(Model):
    """Which web pages may call a route, and how (the Fetch standard). Preflights are answered by the gateway."""

    origins: Annotated[tuple[Origin, ...], Some, Unique] = Field(
        description="origins such as https://app.example.com; `https://*.example.com` for a suffix, `*` for all"
    )
    methods: Annotated[tuple[Method, ...], Unique] = Field(
        (), description="methods that pages may use; the route's where empty, all where it names none"
    )
    headers: Annotated[tuple[HeaderName, ...], Unique] = Field(
        ("authorization", "content-type"), description="request headers that pages may set"
    )
    expose: Annotated[tuple[HeaderName, ...], Unique] = Field((), description="response headers that pages may read")
    credentials: bool = Field(default=False, description="whether pages may send cookies; not with the origin `*`")
    max_age: Seconds = Field(600.0, description="how long browsers may remember a preflight")

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> Self:
        if self.credentials and "*" in self.origins:
            raise Mistake("any page could use a visitor's cookies", "name the origins", at=("credentials",))
        return self


class Bandwidth(Model):
    """How fast bodies pass, in bytes a second, for all requests of the route at one listener of one Envoy together."""

    upload: Size | None = Field(None, description="bytes of request bodies in a second, rounded down to whole KiB")
    download: Size | None = Field(None, description="bytes of response bodies in a second, rounded down to whole KiB")

    @model_validator(mode="after")
    def _something_bounded(self) -> Self:
        if self.upload is None and self.download is None:
            raise Mistake("nothing is bounded", "write `upload` or `download`")
        for key, bound in (("upload", self.upload), ("download", self.download)):
            if bound is not None and not SLOWEST <= bound <= FASTEST:
                cure = f"write a size from {written_size(SLOWEST)} to {written_size(FASTEST)}"
                raise Mistake("is out of range", cure, value=written_size(bound), at=(key,))
        return self


class Delay(Model):
    """Requests that are held up."""

    duration: Seconds = Field(description="how long")
    percent: Percent = Field(100.0, description="share of requests")


class Abort(Model):
    """Requests that are refused."""

    status: Annotated[int, Between(400, 599)] = Field(description="status of the answer")
    percent: Percent = Field(100.0, description="share of requests")


class Fault(Model):
    """Trouble on purpose, to see how clients take it."""

    delay: Delay | None = Field(None, description="requests that are held up")
    abort: Abort | None = Field(None, description="requests that are refused")

    @model_validator(mode="after")
    def _some_trouble(self) -> Self:
        if self.delay is None and self.abort is None:
            raise Mistake("there is no trouble", "write `delay` or `abort`")
        return self


class AdaptiveConcurrency(Model):
    """Bounds requests under way by comparing their latency with that of an idle upstream (a gradient controller)."""

    max_concurrency: Annotated[int, Between(1, 1_000_000)] = Field(1000, description="upper bound whatever the latency")
    min_concurrency: Annotated[int, Between(1, 1_000_000)] = Field(
        3, description="lower bound, and while the idle latency is measured"
    )
    interval: Seconds = Field(0.1, description="time between adjustments")
    percentile: Percent = Field(90.0, description="which latency is looked at")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min_concurrency > self.max_concurrency:
            raise Mistake("the lower bound is above the upper", "write a smaller one", at=("min_concurrency",))
        return self


class Cache(Model):
    """Keeps answers in Envoy's memory as HTTP caching allows (RFC 9111). A hit is served to whoever asks for it."""

    shared: bool = Field(
        default=False, description="allowed on a route with `auth`: every authorized caller gets the same answers"
    )
