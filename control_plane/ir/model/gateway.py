"""A whole gateway."""

from dataclasses import dataclass

from control_plane.ir.model.identity import BearerToken, Consumer, JwtIssuer
from control_plane.ir.model.limits import Plan
from control_plane.ir.model.listeners import Listener
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
    # The authorities of this system, as PEM; empty where no upstream is verified by them.
    system_ca: str = ""
