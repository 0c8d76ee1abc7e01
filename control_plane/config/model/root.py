"""A whole configuration."""

from typing import Literal

from pydantic import Field, SecretStr

from control_plane.config.model.base import Model
from control_plane.config.model.identity import Auth, Identity
from control_plane.config.model.ledger import Ledger
from control_plane.config.model.limits import Consumer, Plan, Tenant
from control_plane.config.model.listeners import Listener
from control_plane.config.model.llm import Discovery, LanguageModel, Llm
from control_plane.config.model.routes import Route
from control_plane.config.model.secrets import AdminSecret
from control_plane.config.model.upstreams import Upstream
from control_plane.config.values.network import Address
from control_plane.config.values.text import Name
from service_kit.endpoint import TcpEndpoint


class Admin(Model):
    """Where metrics, status and health of the gateway are served."""

    address: Address = Field(TcpEndpoint("127.0.0.1", 8801), description="IP:PORT of the observability port")
    token: AdminSecret = Field(
        SecretStr(""), description="bearer token of the admin API; empty: generated into the state directory"
    )
    metrics: bool = Field(default=True, description="whether `GET /metrics` is answered; 404 where not")


class Defaults(Model):
    """What a route or an identity has where it says nothing."""

    auth: Auth | None = Field(None, description="credentials a route accepts; `none` makes routes public")
    plan: Name | None = Field(None, description="plan of an identity that names none")


class Config(Model):
    """A whole configuration."""

    version: Literal[1] = Field(description="version of this language: 1")
    admin: Admin = Field(Admin(), description="the observability port")
    defaults: Defaults = Field(Defaults(), description="what holds where nothing is said")
    listeners: dict[Name, Listener] = Field(description="addresses by name; at least one", min_length=1)
    identity: Identity = Field(Identity(), description="the credentials this gateway knows")
    plans: dict[Name, Plan] = Field({}, description="what classes of consumers may use, by name")
    consumers: tuple[Consumer, ...] = Field((), description="people and systems known by name")
    tenants: tuple[Tenant, ...] = Field((), description="organisations with limits and quotas of their own")
    ledger: Ledger | None = Field(None, description="what was used, kept in SQL, and read by who used it")
    upstreams: dict[Name, Upstream] = Field({}, description="services behind the gateway, by name")
    routes: tuple[Route, ...] = Field((), description="which requests go where; their order does not matter")
    llm: Llm = Field(Llm(), description="the endpoints of language models; there are some where there are models")
    models: tuple[LanguageModel, ...] = Field((), description="language models, and who answers for them")
    discovery: Discovery | None = Field(None, description="models that upstreams list; without it, only `models`")
