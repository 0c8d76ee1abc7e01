"""The observability port: metrics and health for everybody, status for who holds the admin token."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from control_plane.admin.gather import Target, gathered
from control_plane.live import LiveConfiguration
from control_plane.server.ads import Ads
from service_kit import contract

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Admin:
    """What the observability port shows, and the token that guards all but metrics and health."""

    live: LiveConfiguration
    ads: Ads
    registry: CollectorRegistry
    targets: tuple[Target, ...]
    generated_token: str

    @property
    def token(self) -> str:
        """The configured token comes first; it may change with the configuration."""
        return self.live.current.loaded.config.admin.token.get_secret_value() or self.generated_token

    @property
    def shows_metrics(self) -> bool:
        return self.live.current.loaded.config.admin.metrics

    @property
    def ready(self) -> bool:
        """Whether an Envoy is connected and every consumer runs what is published."""
        clusters = [status.cluster for status in self.ads.statuses()]
        return contract.ENVOY_NODE_CLUSTER in clusters and all(self.ads.converged(cluster) for cluster in set(clusters))


def admin_app(admin: Admin) -> Starlette:
    """The ASGI app of the observability port."""

    async def metrics(_request: Request) -> Response:
        if not admin.shows_metrics:
            return _error(404, "metrics_disabled", "metrics are switched off: `admin.metrics` is false")
        return Response(await gathered(admin.registry, admin.targets), media_type=CONTENT_TYPE_LATEST)

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        return JSONResponse({"ready": admin.ready}, 200 if admin.ready else 503)

    async def status(_request: Request) -> Response:
        live = admin.live
        return JSONResponse(
            {
                "configuration": {"live_since": live.status.since, "errors": live.status.errors},
                "nodes": [node.as_dict() for node in admin.ads.statuses()],
            }
        )

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/health", health),
            Route("/readyz", ready),
            Route("/status", _guarded(status, admin)),
        ],
        exception_handlers={404: _not_found},
    )


def _guarded(handler: Handler, admin: Admin) -> Handler:
    """The handler, for callers with the admin token; 401 for others."""

    async def guarded(request: Request) -> Response:
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(presented.encode(), admin.token.encode()):
            return await handler(request)
        return _error(
            401,
            "unauthorized",
            "send `Authorization: Bearer TOKEN` with the admin token",
            {"www-authenticate": 'Bearer realm="tollgate admin"'},
        )

    return guarded


async def _not_found(_request: Request, _cause: Exception) -> Response:
    return _error(404, "not_found", "there are /metrics, /health, /readyz and /status")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
