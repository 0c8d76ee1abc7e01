"""A whole gateway."""

from dataclasses import dataclass

from control_plane.ir.model.identity import ApiKey, ApiKeys, BearerToken, Consumer, JwtIssuer, Mtls, Tokens
from control_plane.ir.model.ledger import Ledger
from control_plane.ir.model.limits import Plan, Tenant
from control_plane.ir.model.listeners import Listener
from control_plane.ir.model.llm import Llm
from control_plane.ir.model.routes import Route
from control_plane.ir.model.upstreams import Upstream


@dataclass(frozen=True)
class Gateway:
    """A whole gateway. Routes stand most specific first; everything else is sorted by name."""

    listeners: tuple[Listener, ...]
    upstreams: tuple[Upstream, ...]
    routes: tuple[Route, ...]
    jwt: tuple[JwtIssuer, ...]
    bearer_tokens: tuple[BearerToken, ...]
    plans: tuple[Plan, ...]
    consumers: tuple[Consumer, ...]
    default_plan: str | None
    tenants: tuple[Tenant, ...] = ()
    # None where no route accepts API keys.
    api_keys: ApiKeys | None = None
    declared_keys: tuple[ApiKey, ...] = ()
    mtls: Mtls | None = None
    # None where the gateway issues none.
    tokens: Tokens | None = None
    # None where consumers do not read their usage.
    ledger: Ledger | None = None
    # None where there are no models.
    llm: Llm | None = None
    # The authorities of this system, as PEM; empty where no upstream is verified by them.
    system_ca: str = ""
