"""The real server of a test, and the worlds that it serves."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from control_plane.publication.publisher import Publisher
from control_plane.server.status import NodeStatus, TypeStatus
from control_plane.server.types import ENVOY_PUSH_ORDER, ENVOYS, SERVICES
from control_plane.snapshot import EMPTY, Release, Resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from tests.conformance.client import Client, connected
from tests.conformance.modes import Mode
from tests.support.xds import ControlPlane, cluster, control_plane, endpoints, listener, publisher, routes, secret

# What an Envoy names when it asks for the world; naming nothing means all.
ASKED = {SECRET_TYPE: ("s",), CLUSTER_TYPE: (), ENDPOINTS_TYPE: ("a",), LISTENER_TYPE: (), ROUTES_TYPE: ("r",)}


class Server:
    """A running server with what tests look at."""

    def __init__(self, xds: ControlPlane) -> None:
        self.xds = xds

    def client(self, mode: Mode, **options: Any) -> AbstractAsyncContextManager[Client]:
        return connected(self.xds.endpoint, mode, **options)

    def serve(self, *resources: Resource) -> None:
        """Makes this all that Envoys are to run."""
        self.xds.ads.set_snapshot(ENVOYS.cluster, snapshot(resources))

    def statuses(self, node: str = "envoy") -> list[NodeStatus]:
        """One status for each stream of the node."""
        return [status for status in self.xds.ads.statuses() if status.node == node]

    def status(self, type_url: str, node: str = "envoy") -> TypeStatus:
        """How the node is at with this type, which it has asked for on one stream."""
        (found,) = [status.types[type_url] for status in self.statuses(node) if type_url in status.types]
        return found

    def figure(self, name: str, **labels: str) -> float:
        return self.xds.registry.get_sample_value(name, labels) or 0.0

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator["Releases"]:
        async with publisher(self.xds.ads) as found:
            yield Releases(found)


class Releases:
    """Whole changes, in the order in which the control plane publishes them."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def publish(self, *resources: Resource) -> None:
        self._publisher.publish(Release(snapshot(resources), EMPTY))

    async def published(self) -> None:
        await self._publisher.published()


@asynccontextmanager
async def running_server(**options: Any) -> AsyncIterator[Server]:
    async with control_plane(**options) as xds:
        xds.ads.set_snapshot(SERVICES.cluster, EMPTY)  # so that fences are answered
        yield Server(xds)


def world(
    *, text: str = "a secret", timeout: int = 1000, port: int = 80, prefix: str = "test", path: str = "a"
) -> tuple[Resource, ...]:
    """One resource of each type, each with something to change."""
    return (
        secret("s", text),
        cluster("a", connect_ms=timeout),
        endpoints("a", port),
        listener("front", "r", prefix=prefix),
        routes("r", **{path: "a"}),
    )


def without(resources: tuple[Resource, ...], type_url: str) -> tuple[Resource, ...]:
    return tuple(item for item in resources if item.type_url != type_url)


async def start(client: Client) -> None:
    """Asks for the whole world and takes it, as Envoy does at its start."""
    for type_url in ENVOY_PUSH_ORDER:
        await client.ask(type_url, *ASKED[type_url])
        await client.take(type_url)
