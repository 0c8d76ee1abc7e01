"""How much: limits and quotas, and the plans, consumers and tenants that hold them."""

from typing import Annotated, Final, Literal, Self, TypeVar, get_args

from pydantic import Field, Tag, model_validator

from control_plane.config.model.api_keys import DeclaredKey
from control_plane.config.model.base import LIST, WORD, WORDS_OR_LIST, Model, Named, Some, Unique, shapes
from control_plane.config.values.base import Mistake
from control_plane.config.values.models import ModelPattern
from control_plane.config.values.quantities import BILLION, Amount, Between, Rate
from control_plane.config.values.text import Name, Word
from service_kit.contract import USAGE_USD

Dimension = Literal["subject", "tenant", "consumer", "ip", "route", "plan", "model"]
Per = Annotated[
    Annotated[Dimension, Tag(WORD)] | Annotated[tuple[Dimension, ...], Some, Unique, Tag(LIST)],
    WORDS_OR_LIST,
]
Mode = Literal["enforce", "report"]
StoreFailure = Literal["deny", "local", "allow"]
UnlimitedWord = Literal["unlimited"]
UNLIMITED: Final = get_args(UnlimitedWord)[0]

# What a limit counts, with the words for it.
UNITS: Final = {"requests": "requests", "tokens": "tokens", "concurrent": "calls under way"}
# Counters of money are exact below 2**50 nano-dollars.
MOST_DOLLARS: Final = 1_125_899

MODE = "`report`: what would be refused is told in logs and metrics, and passes"
ON_STORE_FAILURE = (
    "while the store of counters cannot be asked: `deny` refuses, `local` lets each process count by itself, "
    "`allow` counts nothing"
)


class Limit(Model):
    """Never more than N requests or tokens in any period, or N calls at once; `scope: instance` is a token bucket."""

    requests: Rate | None = Field(None, description="N/second, N/minute, N/hour or N/day")
    tokens: Rate | None = Field(None, description="instead of `requests`: of calls to routes that count tokens")
    concurrent: Annotated[int, Between(1, 1_000_000)] | None = Field(
        None, description="instead of `requests`: calls under way"
    )
    per: Per = Field("subject", description="what is counted apart; of a list, each combination")
    scope: Literal["fleet", "instance"] = Field(
        "fleet",
        description="`fleet`: one count for all Envoys; `instance`: each listener of an Envoy its own, at no call out",
    )
    mode: Mode = Field("enforce", description=MODE)
    on_store_failure: StoreFailure = Field("deny", description=ON_STORE_FAILURE)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        named = [key for key in UNITS if getattr(self, key) is not None]
        if not named:
            raise Mistake("it limits nothing", "write `requests: N/minute`, `tokens: N/minute` or `concurrent: N`")
        if len(named) > 1:
            raise Mistake(f"`{named[0]}` and `{named[1]}` are two limits", "write an entry for each", at=(named[1],))
        return self

    @model_validator(mode="after")
    def _kept_by_one_envoy(self) -> Self:
        if self.scope == "instance":
            if "model" in ((self.per,) if isinstance(self.per, str) else self.per):
                raise Mistake("an Envoy by itself counts no models apart", "drop it, or `scope`", at=("per",))
            if self.requests is None:
                raise Mistake(f"an Envoy by itself counts no {UNITS[self.unit]}", "drop it", at=("scope",))
            if "on_store_failure" in self.model_fields_set:
                raise Mistake("an Envoy by itself asks no store", "drop it, or `scope`", at=("on_store_failure",))
        return self

    @model_validator(mode="after")
    def _something_to_refuse(self) -> Self:
        _check_mode(self)
        return self

    @property
    def unit(self) -> str:
        """Which of its keys says what it counts."""
        return next(key for key in UNITS if getattr(self, key) is not None)

    @property
    def most(self) -> int:
        """How many it admits."""
        rate = self.requests or self.tokens
        return rate.amount if rate is not None else self.concurrent or 0

    @property
    def period_seconds(self) -> int:
        """0 of a limit of calls under way."""
        rate = self.requests or self.tokens
        return 0 if rate is None else rate.period_seconds


class Quota(Model):
    """Never more than so much of a usage in a calendar window, UTC; a week begins on Monday."""

    usage: Name = Field(description="`requests`, `tokens`, `usd`, or what routes name as their `usage`")
    amount: Amount = Field(description="N/day, N/week or N/month; of `usd` a decimal fraction such as 5.00/month")
    per: Per = Field("consumer", description="what is counted apart; of a list, each combination")
    mode: Mode = Field("enforce", description=MODE)
    on_store_failure: StoreFailure = Field("deny", description=ON_STORE_FAILURE)

    @model_validator(mode="after")
    def _countable(self) -> Self:
        if self.usage != USAGE_USD and self.amount.whole is None:
            message = f"has a fraction, and {self.usage} is counted whole"
            raise Mistake(message, "write a whole number", value=str(self.amount), at=("amount",))
        if self.usage == USAGE_USD and self.amount.billionths > MOST_DOLLARS * BILLION:
            raise Mistake(
                "is out of range", f"write a number up to {MOST_DOLLARS}", value=str(self.amount), at=("amount",)
            )
        _check_mode(self)
        return self

    @property
    def units(self) -> int:
        """How many of its smallest unit: of `usd` nano-dollars."""
        return self.amount.billionths if self.usage == USAGE_USD else self.amount.billionths // BILLION


def _check_mode(rule: Limit | Quota) -> None:
    if rule.mode == "report" and "on_store_failure" in rule.model_fields_set:
        raise Mistake("what is only reported refuses nothing", "drop it, or `mode`", at=("on_store_failure",))


Rule = TypeVar("Rule", Limit, Quota)
Unlimited = Annotated[UnlimitedWord, Tag(WORD)]
LIMITS: Final = shapes("unlimited or a list of limits", "begin each entry with `- `, or write unlimited")
QUOTAS: Final = shapes("unlimited or a list of quotas", "begin each entry with `- `, or write unlimited")
Limits = Annotated[Unlimited | Annotated[tuple[Limit, ...], Tag(LIST)], LIMITS]
Quotas = Annotated[Unlimited | Annotated[tuple[Quota, ...], Tag(LIST)], QUOTAS]
# In place of another's, an empty list would be a question.
OwnLimits = Annotated[Unlimited | Annotated[tuple[Limit, ...], Some, Tag(LIST)], LIMITS]
OwnQuotas = Annotated[Unlimited | Annotated[tuple[Quota, ...], Some, Tag(LIST)], QUOTAS]


class Plan(Model):
    """What a class of consumers may use."""

    limits: Limits = Field((), description="limits on everything such a consumer calls, or `unlimited`")
    quotas: Quotas = Field((), description="quotas of everything such a consumer calls, or `unlimited`")
    models: Annotated[tuple[ModelPattern, ...], Unique] | None = Field(
        None, description="the models it may call, by names or patterns; without it all, of an empty list none"
    )


class Consumer(Named):
    """A person or system known by name."""

    tenant: Word | None = Field(None, description="the organisation")
    plan: Name | None = Field(None, description="the plan; without it, defaults.plan")
    limits: OwnLimits | None = Field(None, description="in place of all limits of its plan; `unlimited`: none")
    quotas: OwnQuotas | None = Field(
        None, description="in place of its plan's quotas of the same usage; `unlimited`: none of any usage"
    )
    keys: tuple[DeclaredKey, ...] = Field((), description="API keys it has beside those that are made at run time")


class TenantLimit(Limit):
    """As a limit of a plan, counted for the tenant."""

    per: Per = Field("tenant", description="what is counted apart; of a list, each combination")


class TenantQuota(Quota):
    """As a quota of a plan, counted for the tenant."""

    per: Per = Field("tenant", description="what is counted apart; of a list, each combination")


class Tenant(Named):
    """An organisation with rules of its own, which apply beside those of plans and consumers."""

    name: Word = Field(description="its name, as credentials and consumers have it; each name once")
    limits: Annotated[tuple[TenantLimit, ...], Some] = Field((), description="limits on everything it calls")
    quotas: Annotated[tuple[TenantQuota, ...], Some] = Field((), description="quotas of everything it calls")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.limits and not self.quotas:
            raise Mistake("nothing is said of the tenant", "write `limits` or `quotas`, or drop it")
        return self


def listed(rules: UnlimitedWord | tuple[Rule, ...] | None) -> tuple[Rule, ...]:
    """The rules that are written."""
    return rules if isinstance(rules, tuple) else ()
