"""The observability port: who may see what, and when the gateway is ready."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from control_plane.admin.app import Admin, admin_app
from control_plane.admin.http import operations_routes
from control_plane.config import model
from control_plane.server.types import ENVOYS, SERVICES
from control_plane.snapshot import resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE
from service_kit.contract import API_KEY_TYPE, LIMIT_SET_TYPE
from tests.support.audit import audit_trail
from tests.support.eventually import eventually
from tests.support.fake_envoy import fake_envoy
from tests.support.operations import StandIn
from tests.support.xds import ControlPlane, cluster, control_plane

GENERATED = "the-generated-token"


@dataclass
class World:
    xds: ControlPlane
    client: httpx.AsyncClient
    settings: model.Admin
    lacking: tuple[str, ...] = ()

    async def get(self, path: str, *authorization: str | bytes) -> httpx.Response:
        headers = [("authorization", value) for value in authorization]
        return await self.client.get(path, headers=headers)


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[World]:
    async with control_plane() as xds:
        xds.ads.set_snapshot(ENVOYS.cluster, snapshot([cluster("email")]))
        xds.ads.set_snapshot(SERVICES.cluster, snapshot([]))
        admin = Admin(lambda: found.settings, xds.ads, CollectorRegistry(), (), GENERATED, lambda: found.lacking)
        app = admin_app(admin, operations_routes(StandIn(), lambda: admin.token, audit_trail()))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin") as client:
            found = World(xds, client, model.Admin(**settings))
            yield found


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param((), id="none"),
        pytest.param(("",), id="empty"),
        pytest.param(("Bearer",), id="scheme-alone"),
        pytest.param(("Bearer ",), id="empty-token"),
        pytest.param(("Bearer wrong",), id="wrong-token"),
        pytest.param((f"Bearer {GENERATED}x",), id="longer-token"),
        pytest.param((f"Bearer {GENERATED[:-1]}",), id="shorter-token"),
        pytest.param((f"Basic {GENERATED}",), id="wrong-scheme"),
        pytest.param((GENERATED,), id="no-scheme"),
        pytest.param(("Bearer tökén".encode(),), id="not-ascii"),
        pytest.param((b"Bearer \xff\xfe",), id="not-utf-8"),
    ],
)
async def test_status_is_for_who_holds_the_token(authorization: tuple[str | bytes, ...]) -> None:
    async with world() as found:
        response = await found.get("/status", *authorization)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "unauthorized"
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "nodes" not in response.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_generated_token_opens_it(scheme: str) -> None:
    async with world() as found:
        response = await found.get("/status", f"{scheme} {GENERATED}")

    assert response.status_code == 200
    assert response.json()["configuration"]["errors"] == []


async def test_the_configured_token_wins_and_follows_the_configuration() -> None:
    first, second = "the-first-configured-token", "the-second-configured-token"
    async with world(token=SecretStr(first)) as found:
        assert (await found.get("/status", f"Bearer {first}")).status_code == 200
        assert (await found.get("/status", f"Bearer {GENERATED}")).status_code == 401

        found.settings = model.Admin(token=SecretStr(second))

        assert (await found.get("/status", f"Bearer {second}")).status_code == 200
        assert (await found.get("/status", f"Bearer {first}")).status_code == 401


async def test_ready_when_an_envoy_and_every_service_run_what_is_published() -> None:
    async with world() as found:

        async def ready() -> bool:
            response = await found.get("/readyz")
            assert (response.status_code == 200) == response.json()["ready"]
            return response.status_code == 200

        assert not await ready()  # nobody is connected
        async with fake_envoy(found.xds.endpoint, cluster=SERVICES.cluster) as service:
            await service.subscribe(LIMIT_SET_TYPE, "*")
            await service.take()
            assert not await ready()  # no Envoy is connected
            async with fake_envoy(found.xds.endpoint) as envoy:
                await envoy.subscribe(CLUSTER_TYPE)
                push = await envoy.next()
                assert not await ready()  # it has not said yes
                await envoy.ack(push)
                await eventually(ready)
        await eventually(lambda: not found.xds.ads.statuses())
        assert not await ready()


async def test_why_it_is_not_ready_is_told_to_everybody() -> None:
    async with world() as found:
        found.lacking = ("upstream ollama is required and lists no model",)
        alone = (await found.get("/readyz")).json()

        async with fake_envoy(found.xds.endpoint) as envoy:
            await envoy.subscribe(CLUSTER_TYPE)
            push = await envoy.next()
            silent = (await found.get("/readyz")).json()["reasons"]
            await envoy.ack(push)
            await eventually(lambda: found.xds.ads.converged(ENVOYS.cluster))
            lacking = await found.get("/readyz")
            found.lacking = ()
            ready = await found.get("/readyz")

    assert alone == {"ready": False, "reasons": ["no Envoy is connected", *silent[1:]]}
    assert silent == ["not everybody runs what is published", "upstream ollama is required and lists no model"]
    assert (lacking.status_code, lacking.json()["reasons"]) == (503, silent[1:])
    assert (ready.status_code, ready.json()) == (200, {"ready": True})


async def test_a_stored_key_that_a_service_refuses_leaves_the_gateway_ready() -> None:
    """It is shown, and no verdict on the configuration that all run."""
    async with (
        world() as found,
        fake_envoy(found.xds.endpoint) as envoy,
        fake_envoy(found.xds.endpoint, cluster=SERVICES.cluster) as service,
    ):
        found.xds.ads.set_beside(SERVICES.cluster, snapshot([resource(API_KEY_TYPE, "a", b"1")]))
        await envoy.subscribe(CLUSTER_TYPE)
        await envoy.take()
        await service.subscribe(LIMIT_SET_TYPE, "*")
        await service.take()
        await service.subscribe(API_KEY_TYPE, "*")
        await service.nack(await service.next(), "this key is bad")

        await eventually(lambda: API_KEY_TYPE in _refused(found))
        response = await found.get("/readyz")
        assert (response.status_code, response.json()["ready"]) == (200, True)


def _refused(found: World) -> list[str]:
    statuses = found.xds.ads.statuses()
    return [type_url for node in statuses for type_url, held in node.types.items() if held.refusal is not None]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/health", "application/json"), ("/metrics", "text/plain")],
)
async def test_open_to_everybody(path: str, content_type: str) -> None:
    async with world() as found:
        response = await found.get(path)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith(content_type)


async def test_metrics_can_be_switched_off() -> None:
    async with world(metrics=False) as found:
        response = await found.get("/metrics")

        assert (response.status_code, response.json()["error"]["code"]) == (404, "metrics_disabled")
        assert "admin.metrics" in response.json()["error"]["message"]
        assert (await found.get("/health")).status_code == 200


async def test_what_is_not_there() -> None:
    async with world() as found:
        response = await found.get("/config_dump", f"Bearer {GENERATED}")

    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
