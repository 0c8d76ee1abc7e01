"""API keys: where requests carry them, where those made at run time are kept, and those that are declared."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from control_plane.config.model.base import Model, Unique
from control_plane.config.model.secrets import SECRET_CURE
from control_plane.config.values.base import Mistake
from control_plane.config.values.keys import CookieName, DeclaredKeyHash, DeclaredKeyId, Moment, ParameterName
from control_plane.config.values.models import ModelPattern
from control_plane.config.values.network import Network
from control_plane.config.values.text import HeaderName, Name, Word
from service_kit.api_keys import SHORTEST_PEPPER
from service_kit.identity_part import UnusablePart, models_part

SQLITE_URL: Final = re.compile(r"sqlite:///[^?#]*[^/?#]")
POSTGRESQL_URL: Final = re.compile(r"postgresql://\S+")
STORE_CURE: Final = "write the path of a file, or postgresql://USER@HOST/NAME for several control planes"


def _pepper(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SHORTEST_PEPPER:
        raise Mistake(f"the pepper is shorter than {SHORTEST_PEPPER} bytes", SECRET_CURE)
    return secret


def _store(secret: SecretStr) -> SecretStr:
    """Not shown: it may hold a password."""
    text = secret.get_secret_value()
    if text.startswith("/"):
        return _store(SecretStr(f"sqlite://{text}"))
    if text and not SQLITE_URL.fullmatch(text) and not POSTGRESQL_URL.fullmatch(text):
        raise Mistake("the store is no URL of a database", STORE_CURE)
    return secret


class ApiKeys(Model):
    """Where requests carry API keys, and where keys are kept that are made at run time."""

    headers: Annotated[tuple[HeaderName, ...], Unique] = Field(
        ("x-api-key", "authorization"),
        description="headers that may hold a key; in `authorization` it stands after Bearer",
    )
    query: ParameterName | None = Field(None, description="query parameter that may hold a key; taken out of the path")
    cookie: CookieName | None = Field(None, description="cookie that may hold a key; taken out of the request")
    pepper: Annotated[SecretStr, AfterValidator(_pepper)] | None = Field(
        None,
        description="what keys are hashed with, at least 32 bytes; without it, generated into the state directory",
    )
    store: Annotated[SecretStr, AfterValidator(_store)] = Field(
        SecretStr(""),
        description="sqlite:///PATH, PATH or postgresql://USER@HOST/NAME; empty: `users.sqlite` in the state directory",
    )
    forward: bool = Field(default=False, description="whether the upstream receives the key")
    allow_ips_mode: Literal["enforce", "report"] = Field(
        "enforce", description="`report`: a key that is used from elsewhere than its `allow_ips` is logged, and passes"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.headers and self.query is None and self.cookie is None:
            raise Mistake(
                "keys are looked for nowhere", "name a header, a query parameter or a cookie", at=("headers",)
            )
        if self.pepper is None and POSTGRESQL_URL.fullmatch(self.store.get_secret_value()):
            cure = f"write `pepper: ${{TOLLGATE_KEY_PEPPER}}`, the same at each of them; {SECRET_CURE}"
            raise Mistake("control planes that share a store need one pepper", cure, at=("store",))
        return self


class DeclaredKey(Model):
    """A key by its hash; its text is with its holder alone."""

    id: DeclaredKeyId = Field(description="the 12 letters and digits after `tgk_`")
    hash: DeclaredKeyHash = Field(description="`hmac-sha256:` and 64 hex digits; `tollgate keys hash` makes it")
    scopes: Annotated[tuple[Word, ...], Unique] = Field((), description="the scopes it holds")
    roles: Annotated[tuple[Word, ...], Unique] = Field((), description="the roles it holds")
    plan: Name | None = Field(None, description="the plan; without it, the consumer's")
    allow_ips: Annotated[tuple[Network, ...], Unique] = Field(
        (), description="whence it may be used; without it, anywhere"
    )
    models: Annotated[tuple[ModelPattern, ...], Unique] | None = Field(
        None, description="of the models of its plan those that it may call, by names or patterns; without it, all"
    )
    expires: Moment | None = Field(None, description="a day or a time at which it ends; without it, never")

    @model_validator(mode="after")
    def _models_fit(self) -> Self:
        """They travel with each call of the key's holder."""
        try:
            models_part(self.models or ())
        except UnusablePart as error:
            cure = "write patterns such as `llama3.1:*`, or give it a plan with these models"
            raise Mistake(f"the list {error}", cure, at=("models",)) from error
        return self
