"""The observability port: metrics and health for everybody, status for who holds the admin token."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from control_plane.admin.answers import mistake
from control_plane.admin.gather import Target, gathered
from control_plane.config import model
from control_plane.server.ads import Ads
from service_kit import contract


@dataclass(frozen=True)
class Admin:
    """What the observability port shows, and the token that guards all but metrics and health.

    `settings` are those of the live configuration, with which they change; `lacking` are reasons beside those of
    consumers why the gateway is not ready, which everybody may read.
    """

    settings: Callable[[], model.Admin]
    ads: Ads
    registry: CollectorRegistry
    targets: tuple[Target, ...]
    generated_token: str
    lacking: Callable[[], Iterable[str]] = tuple

    @property
    def token(self) -> str:
        """The configured token comes first; it may change with the configuration."""
        return self.settings().token.get_secret_value() or self.generated_token

    @property
    def shows_metrics(self) -> bool:
        return self.settings().metrics

    def unready(self) -> Iterator[str]:
        """Why the gateway is not ready: an Envoy is to be connected, and every consumer to run what is published."""
        clusters = {status.cluster for status in self.ads.statuses()}
        if contract.ENVOY_NODE_CLUSTER not in clusters:
            yield "no Envoy is connected"
        if not all(map(self.ads.converged, clusters)):
            yield "not everybody runs what is published"
        yield from self.lacking()


def admin_app(admin: Admin, operations: Iterable[Route]) -> Starlette:
    """The ASGI app of the observability port; `operations` are the routes that want the admin token."""

    async def metrics(_request: Request) -> Response:
        if not admin.shows_metrics:
            return mistake(404, "metrics_disabled", "metrics are switched off: `admin.metrics` is false")
        return Response(await gathered(admin.registry, admin.targets), media_type=CONTENT_TYPE_LATEST)

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        reasons = list(admin.unready())
        return JSONResponse({"ready": False, "reasons": reasons}, 503) if reasons else JSONResponse({"ready": True})

    return Starlette(
        routes=[
            *operations,
            Route("/metrics", metrics),
            Route("/health", health),
            Route("/readyz", ready),
        ],
        exception_handlers={404: _not_found},
    )


async def _not_found(_request: Request, _cause: Exception) -> Response:
    return mistake(404, "not_found", "there are /metrics, /health, /readyz, /status, /models, /history and /rollback")
