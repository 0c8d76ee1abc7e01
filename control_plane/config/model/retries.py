"""When a request is tried again."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from control_plane.config.model.base import Model, Some, Unique
from control_plane.config.values.base import Mistake
from control_plane.config.values.quantities import Between, Seconds

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# RFC 9110, 9.2.2: repeating them has the effect of one.
IDEMPOTENT: tuple[Method, ...] = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
# "reset" is a connection that breaks before the answer begins, and a try that `per_try_timeout` ends: Envoy has one
# word for both. "5xx" includes it.
RetryReason = Literal["connect-failure", "refused-stream", "reset", "5xx", 429, 500, 502, 503, 504]


class Retries(Model):
    """When a request is tried again. The upstream's retry budget bounds all of them."""

    attempts: Annotated[int, Between(1, 10)] = Field(1, description="tries after the first")
    on: Annotated[tuple[RetryReason, ...], Some, Unique] = Field(
        ("connect-failure", "refused-stream"),
        description="what is worth another try: statuses and events; `reset` and `5xx` include `per_try_timeout`",
    )
    methods: Annotated[tuple[Method, ...], Some, Unique] = Field(
        IDEMPOTENT, description="methods that are tried again; POST and PATCH only where written"
    )
    per_try_timeout: Seconds | None = Field(None, description="of each try; the route's timeout holds for all of them")
    backoff: Seconds = Field(0.025, description="base of the growing, random wait between tries")
    max_backoff: Seconds = Field(0.25, description="longest such wait")

    @model_validator(mode="after")
    def _growing_wait(self) -> Self:
        if self.max_backoff < self.backoff:
            raise Mistake("is shorter than `backoff`", "make it longer", at=("max_backoff",))
        return self
