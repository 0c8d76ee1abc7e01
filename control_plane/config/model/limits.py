"""How often: limits, the plans that hold them, and the consumers that have a plan."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from control_plane.config.model.api_keys import DeclaredKey
from control_plane.config.model.base import LIST, WORD, WORDS_OR_LIST, Model, Named, Some, Unique
from control_plane.config.values.quantities import Rate
from control_plane.config.values.text import Name, Word

Dimension = Literal["subject", "tenant", "consumer", "ip", "route"]
Per = Annotated[
    Annotated[Dimension, Tag(WORD)] | Annotated[tuple[Dimension, ...], Some, Unique, Tag(LIST)],
    WORDS_OR_LIST,
]


class Limit(Model):
    """Never more than N requests in any period, or a token bucket of each Envoy where `scope: instance`."""

    requests: Rate = Field(description="N/second, N/minute, N/hour or N/day")
    per: Per = Field("subject", description="what is counted apart; of a list, each combination")
    scope: Literal["fleet", "instance"] = Field(
        "fleet",
        description="`fleet`: one count for all Envoys; `instance`: each listener of an Envoy its own, at no call out",
    )


class Plan(Model):
    """What a class of consumers may use."""

    limits: tuple[Limit, ...] = Field((), description="limits on everything such a consumer calls")


class Consumer(Named):
    """A person or system known by name."""

    tenant: Word | None = Field(None, description="the organisation")
    plan: Name | None = Field(None, description="the plan; without it, defaults.plan")
    keys: tuple[DeclaredKey, ...] = Field((), description="API keys it has beside those that are made at run time")
