"""Routes: requests, who may make them, how often, and who answers."""

from typing import Annotated, Self

from pydantic import Field, Tag, model_validator

from control_plane.config.model.answers import (
    BodyChanges,
    DirectResponse,
    HeaderChanges,
    Mirror,
    Redirect,
    RegexRewrite,
    WeightedUpstream,
)
from control_plane.config.model.base import LIST, WORD, Named, Some, Unique, shapes
from control_plane.config.model.identity import Auth, Require
from control_plane.config.model.limits import Limits
from control_plane.config.model.matches import Match
from control_plane.config.model.metering import Metering
from control_plane.config.model.retries import Retries
from control_plane.config.model.shaping import AdaptiveConcurrency, Bandwidth, Cache, Cors, Fault
from control_plane.config.values.base import Mistake
from control_plane.config.values.network import Network
from control_plane.config.values.paths import ReplacementPath
from control_plane.config.values.quantities import Between, BodySize, Seconds
from control_plane.config.values.text import Name

DEFAULT_BODY_LIMIT = 8 * 2**20


class Route(Named):
    """Requests, who may make them, and where they go."""

    match: Match = Field(description="which requests it takes")
    upstream: (
        Annotated[
            Annotated[Name, Tag(WORD)] | Annotated[tuple[WeightedUpstream, ...], Some, Tag(LIST)],
            shapes(
                "a name or a list of weighted upstreams",
                "write a name, in quotes where YAML takes it for something else, or [{name: ..., weight: ...}]",
            ),
        ]
        | None
    ) = Field(None, description="name of the upstream that answers, or a list of them with weights")
    redirect: Redirect | None = Field(None, description="instead of `upstream`: another address")
    respond: DirectResponse | None = Field(None, description="instead of `upstream`: an answer of the gateway")
    rewrite: ReplacementPath | None = Field(
        None, description="replaces the matched path or prefix; `{name}` is a variable of it"
    )
    rewrite_regex: RegexRewrite | None = Field(
        None, description="instead of `rewrite`: replaces what an expression matches"
    )
    mirror: Mirror | None = Field(None, description="copies of requests for another upstream")
    auth: Auth | None = Field(None, description="credentials accepted, any of; `none` is public; else defaults.auth")
    require: Require = Field(Require(), description="what an identity must hold")
    allow_ips: Annotated[tuple[Network, ...], Some, Unique] = Field(
        (), description="networks whose clients may call; 403 for others; all where empty"
    )
    limits: Limits = Field(
        (),
        description="limits beside those of the plan, or `unlimited`: no rule of a plan, consumer or tenant counts it; "
        "`redirect` and `respond` are never counted",
    )
    usage: Name | None = Field(None, description="what a call counts as in quotas, beside `requests`")
    cost: Annotated[int, Between(1, 1_000_000)] = Field(
        1,
        description="how many requests a call counts as, in all limits and quotas but those of calls under way",
    )
    tokens: Metering | None = Field(None, description="counts the tokens of its calls, which POST JSON")
    cors: Cors | None = Field(None, description="which web pages may call it; browsers refuse others")
    request_headers: HeaderChanges = Field(HeaderChanges(), description="changes before the upstream sees the request")
    response_headers: HeaderChanges = Field(HeaderChanges(), description="changes before the client sees the answer")
    request_body: BodyChanges | None = Field(None, description="changes of the request's JSON body")
    retries: Retries | None = Field(None, description="when a request is tried again; else the upstream's")
    timeout: Seconds | None = Field(
        None,
        description="for the whole answer, or its first byte where `streaming` or `websocket`; else the upstream's",
    )
    streaming: bool = Field(default=False, description="answers stream: SSE, long downloads")
    websocket: bool = Field(default=False, description="allows the WebSocket upgrade")
    idle_timeout: Seconds | None = Field(
        None, description="longest silence; without it 60s, or the timeout where longer; 5m where `websocket`"
    )
    max_duration: Seconds | None = Field(None, description="longest life of a request; without it, any")
    body_limit: BodySize = Field(
        DEFAULT_BODY_LIMIT,
        description="largest request body; 413 above it. None on WebSockets, nor, unless written, on gRPC streams",
    )
    bandwidth: Bandwidth | None = Field(None, description="how fast bodies pass")
    fault: Fault | None = Field(None, description="trouble on purpose, to test clients")
    adaptive_concurrency: AdaptiveConcurrency | None = Field(
        None, description="bounds requests under way by the latency they meet; 503 above it"
    )
    cache: Cache | None = Field(None, description="keeps answers that the upstream marks as cacheable")

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        named = [key for key in ("upstream", "redirect", "respond") if getattr(self, key) is not None]
        if not named:
            raise Mistake("nobody answers", "write `upstream: NAME`, `redirect` or `respond`")
        if len(named) > 1:
            raise Mistake(f"`{named[0]}` and `{named[1]}` both answer", "keep one of them", at=(named[1],))
        if self.rewrite is not None and self.rewrite_regex is not None:
            raise Mistake(
                "`rewrite` and `rewrite_regex` both replace the path", "keep one of them", at=("rewrite_regex",)
            )
        return self

    @property
    def exempt(self) -> bool:
        """Whether nothing counts its calls."""
        return isinstance(self.limits, str)

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Names of the upstreams that may answer."""
        if self.upstream is None:
            return ()
        return (self.upstream,) if isinstance(self.upstream, str) else tuple(item.name for item in self.upstream)
