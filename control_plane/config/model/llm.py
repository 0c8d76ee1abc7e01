"""Language models: which there are, who answers, who may call them, and what they cost."""

from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from control_plane.config.model.answers import HeaderChanges
from control_plane.config.model.base import LIST, MAPPING, WORD, Model, Some, Unique, shapes
from control_plane.config.model.identity import Auth, Require
from control_plane.config.model.limits import Limit
from control_plane.config.model.metering import MOST_TOKENS, Price
from control_plane.config.model.shaping import Cors
from control_plane.config.values.base import Mistake
from control_plane.config.values.json import Json
from control_plane.config.values.models import ModelName, ModelPattern, Parameter
from control_plane.config.values.network import Network
from control_plane.config.values.quantities import Between, BodySize, Refresh, Seconds, Weight
from control_plane.config.values.text import Name

LlmApi = Literal["chat", "completions", "embeddings"]
DEFAULT_MOST = 4096


class WeightedTarget(Model):
    """One of the upstreams that share a model's calls."""

    name: Name = Field(description="name of the upstream")
    model: ModelName | None = Field(None, description="as it knows the model; else `upstream_model`")
    weight: Weight = Field(1, description="its share, relative to the sum of all weights")


class FallbackTarget(Model):
    """An upstream that is asked when those before it fail."""

    upstream: Name = Field(description="name of the upstream")
    model: ModelName | None = Field(None, description="as it knows the model; else `upstream_model`")
    price: Price | None = Field(None, description="what its tokens cost; else as the model's")


Fallback = Annotated[
    Annotated[ModelName, Tag(WORD)] | Annotated[FallbackTarget, Tag(MAPPING)],
    shapes("the name of a model, or {upstream: ...}", "write a model's name, or {upstream: NAME, model: NAME}"),
]


class LanguageModel(Model):
    """A model, or with `*` in its name what holds for all that discovery finds by such names."""

    name: ModelPattern = Field(description="what clients call it; with `*` a pattern for models that are discovered")
    upstream: (
        Annotated[
            Annotated[Name, Tag(WORD)] | Annotated[tuple[WeightedTarget, ...], Some, Tag(LIST)],
            shapes("a name or a list of weighted upstreams", "write a name, or [{name: ..., weight: ...}]"),
        ]
        | None
    ) = Field(None, description="who answers: an upstream, or a list of them with weights")
    upstream_model: ModelName | None = Field(None, description="what the upstream calls it; else `name`")
    aliases: Annotated[tuple[ModelName, ...], Unique] = Field((), description="other names that clients may use")
    fallback: tuple[Fallback, ...] = Field(
        (),
        description="who is asked, in this order, when the upstream fails before an answer begins: models, whose own "
        "fallback is not looked at, or upstreams",
    )
    apis: Annotated[tuple[LlmApi, ...], Some, Unique] = Field(
        ("chat", "completions", "embeddings"), description="which APIs it is called by"
    )
    limits: tuple[Limit, ...] = Field((), description="limits on its calls, by whatever API")
    price: Price | None = Field(None, description="what its tokens cost; without it, nothing")
    max_tokens: Annotated[int, Between(1, MOST_TOKENS)] = Field(
        DEFAULT_MOST, description="tokens an answer may have, and has where a client names no number"
    )
    above_max_tokens: Literal["refuse", "clamp"] = Field(
        "refuse", description="what becomes of a client's higher number: 400, or `max_tokens`"
    )
    context: Annotated[int, Between(1, 100 * MOST_TOKENS)] | None = Field(
        None, description="tokens of prompt and answer together; lists tell it, and more cannot be asked for"
    )
    refuse: Annotated[tuple[Parameter, ...], Unique] = Field(
        (), description="parameters that it does not know: 400, and the error names them"
    )
    set: dict[Parameter, Json] = Field({}, description="parameters that get this value, whatever the client says")
    upstream_takes: Literal["max_tokens", "max_completion_tokens", "either"] | None = Field(
        None,
        description="by which name the upstream takes the length of an answer; without it `either` in chats where all "
        "who may answer are `api: openai`, else `max_tokens`",
    )
    request_usage: bool = Field(default=True, description="whether streams are asked to tell their usage")
    timeout: Seconds | None = Field(
        None, description="to the first byte of an answer, of each who is asked; else the upstream's, else llm.timeout"
    )

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for what discovery finds."""
        return "*" in self.name

    @property
    def upstreams(self) -> frozenset[str]:
        """The upstreams that it names."""
        shared = (self.upstream,) if isinstance(self.upstream, str) else (item.name for item in self.upstream or ())
        return frozenset((*shared, *(item.upstream for item in self.fallback if isinstance(item, FallbackTarget))))

    @model_validator(mode="after")
    def _somebody_answers(self) -> Self:
        if not self.is_pattern and self.upstream is None:
            raise Mistake("nobody answers", "write `upstream: NAME`")
        if self.is_pattern:
            for key in ("upstream_model", "aliases"):
                if getattr(self, key):
                    raise Mistake("a pattern stands for many models", "drop it, or name one model", at=(key,))
        return self


class Discovery(Model):
    """Models that upstreams list appear by themselves."""

    upstreams: Annotated[tuple[Name, ...], Some, Unique] = Field(description="whose models are asked for")
    refresh: Refresh = Field(30.0, description="time between looks")
    grace: Seconds = Field(
        300.0, description="for how long the models of an upstream that does not answer are still there"
    )


class Llm(Model):
    """The endpoints of language models: `/v1/...` as OpenAI has them, `/api/...` as Ollama has them."""

    auth: Auth | None = Field(None, description="credentials accepted, any of; else defaults.auth")
    require: Require = Field(Require(), description="what an identity must hold")
    allow_ips: Annotated[tuple[Network, ...], Some, Unique] = Field(
        (), description="networks whose clients may call; 403 for others; all where empty"
    )
    ollama: bool = Field(default=True, description="whether Ollama's clients are served, at /api/chat and its like")
    default_model: ModelName | None = Field(None, description="the model of requests that name none; else 400")
    limits: tuple[Limit, ...] = Field((), description="limits on all calls of models together")
    usage: Name | None = Field(None, description="what a call counts as in quotas, beside tokens and dollars")
    cors: Cors | None = Field(None, description="which web pages may call it; browsers refuse others")
    response_headers: HeaderChanges = Field(HeaderChanges(), description="changes before the client sees the answer")
    timeout: Seconds = Field(120.0, description="to the first byte of an answer: a model may have to be loaded")
    idle_timeout: Seconds = Field(
        60.0, description="longest silence, but for the wait for the first byte of all who may be asked"
    )
    max_duration: Seconds | None = Field(None, description="longest life of a call; without it, any")
    body_limit: BodySize = Field(8 * 2**20, description="largest request body; 413 above it")
