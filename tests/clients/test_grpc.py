"""gRPC's own client, no relative of Envoy: state of the world, everything by name, its own rules for errors."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_pb2 as route_pb
from envoy.extensions.filters.http.router.v3 import router_pb2 as router_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb

from control_plane.server.types import ENVOYS
from control_plane.server.wire import ADS_SERVICE
from control_plane.snapshot import Resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE, LISTENER_TYPE, ROUTES_TYPE
from service_kit.endpoint import UnixEndpoint
from tests.support.eventually import eventually
from tests.support.grpc_xds_client import NAME, WHO, GrpcClient, grpc_backend, grpc_client
from tests.support.xds import ControlPlane, ads_source, any_of, cluster, control_plane, packed

RETRY_SECONDS = 20.0  # the client's own, before it connects again


def api_listener(routes: str = "r") -> Resource:
    """What a client without a listening socket asks for, by the name that it was given."""
    manager = hcm_pb.HttpConnectionManager()
    manager.rds.route_config_name = routes
    manager.rds.config_source.CopyFrom(ads_source())
    manager.http_filters.add(name="router").typed_config.CopyFrom(any_of(router_pb.Router()))
    message = listener_pb.Listener(name=NAME)
    message.api_listener.api_listener.CopyFrom(any_of(manager))
    return packed(LISTENER_TYPE, NAME, message)


def methods(name: str = "r", **clusters: str) -> Resource:
    """Routes from the method of the key to the cluster of the value."""
    message = route_pb.RouteConfiguration(name=name)
    host = message.virtual_hosts.add(name="all", domains=["*"])
    for method, target in clusters.items():
        route = host.routes.add()
        route.match.path = f"/{WHO}/{method}"
        route.route.cluster = target
    return packed(ROUTES_TYPE, name, message)


def localities(name: str, *ports_by_priority: Sequence[int]) -> Resource:
    """Endpoints, a locality with its weight for each priority, which gRPC requires."""
    message = endpoint_pb.ClusterLoadAssignment(cluster_name=name)
    for priority, ports in enumerate(ports_by_priority):
        locality = message.endpoints.add(priority=priority)
        locality.load_balancing_weight.value = 1
        locality.locality.zone = f"zone-{priority}"
        for port in ports:
            address = locality.lb_endpoints.add().endpoint.address.socket_address
            address.address, address.port_value = "127.0.0.1", port
    return packed(ENDPOINTS_TYPE, name, message)


def refused_cluster(name: str) -> Resource:
    """A cluster that Envoy takes and gRPC does not: its endpoints are in it."""
    return packed(CLUSTER_TYPE, name, cluster_pb.Cluster(name=name, type=cluster_pb.Cluster.STATIC))


@asynccontextmanager
async def client_of(*resources: Resource) -> AsyncIterator[tuple[GrpcClient, ControlPlane]]:
    async with control_plane() as xds, grpc_client(xds.endpoint) as client:
        publish(xds, *resources)
        yield client, xds


def publish(xds: ControlPlane, *resources: Resource) -> None:
    xds.ads.set_snapshot(ENVOYS.cluster, snapshot(resources))


async def only(client: GrpcClient, *names: str, method: str = "A") -> None:
    """Calls are answered by these, all of them, and by no other; until then by none that fails."""

    async def probe() -> bool:
        found = set(await client.answers(method))
        assert not any(":" in answer for answer in found), found
        return found == set(names)

    await eventually(probe, within=10)


async def test_72_the_client_resolves_and_spreads_its_calls() -> None:
    async with grpc_backend("one") as one, grpc_backend("two") as two, grpc_backend("three") as three:
        resources = (api_listener(), methods(A="a"), cluster("a"), localities("a", (one, two, three)))
        async with client_of(*resources) as (client, xds):
            await only(client, "one", "two", "three")
            answers = await client.answers(calls=30)

            assert [answers.count(name) for name in ("one", "two", "three")] == [10, 10, 10]
            await eventually(lambda: xds.ads.converged(ENVOYS.cluster))


async def test_72_an_endpoint_that_comes_or_goes_is_followed_without_a_failed_call() -> None:
    async with grpc_backend("one") as one, grpc_backend("two") as two:
        rest = (api_listener(), methods(A="a"), cluster("a"))
        async with client_of(*rest, localities("a", (one,))) as (client, xds):
            await only(client, "one")
            publish(xds, *rest, localities("a", (one, two)))
            await only(client, "one", "two")
            publish(xds, *rest, localities("a", (two,)))
            await only(client, "two")


async def test_72_the_second_priority_serves_while_the_first_is_dead() -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        one = await first.enter_async_context(grpc_backend("one"))
        two = await stack.enter_async_context(grpc_backend("two"))
        resources = (api_listener(), methods(A="a"), cluster("a"), localities("a", (one,), (two,)))
        client, _ = await stack.enter_async_context(client_of(*resources))
        await only(client, "one")
        await first.aclose()

        await eventually(lambda: answers_are(client, "A", {"two"}), within=10)


async def test_59_72_a_route_moves_to_another_cluster_without_a_failed_call() -> None:
    async with grpc_backend("one") as one, grpc_backend("two") as two:
        clusters = (cluster("a"), localities("a", (one,)), cluster("b"), localities("b", (two,)))
        async with client_of(api_listener(), methods(A="a"), *clusters[:2]) as (client, xds):
            await only(client, "one")
            publish(xds, api_listener(), methods(A="b"), *clusters)
            await only(client, "two")
            publish(xds, api_listener(), methods(A="b"), *clusters[2:])
            await eventually(lambda: holds(client, ("Cluster", "b"), but_not=("Cluster", "a")))
            await only(client, "two")


async def test_57_72_a_changed_cluster_keeps_its_unchanged_endpoints() -> None:
    async with grpc_backend("one") as one:
        rest = (api_listener(), methods(A="a"), localities("a", (one,)))
        async with client_of(*rest, cluster("a")) as (client, xds):
            await only(client, "one")
            changed = cluster("a", connect_ms=777)
            publish(xds, *rest, changed)
            version = snapshot((changed,)).version(CLUSTER_TYPE)

            async def has_it() -> bool:
                return (await client.held())["Cluster", "a"].version == version

            await eventually(has_it)
            await only(client, "one")


async def test_58_72_a_changed_listener_keeps_its_unchanged_routes_and_moves_to_others() -> None:
    async with grpc_backend("one") as one, grpc_backend("two") as two:
        rest = (cluster("a"), localities("a", (one,)), cluster("b"), localities("b", (two,)))
        both = (methods("r", A="a"), methods("r2", A="b"))
        async with client_of(api_listener(), *both, *rest) as (client, xds):
            await only(client, "one")
            publish(xds, api_listener("r2"), *both, *rest)
            await only(client, "two")


async def test_72_calls_fail_as_unavailable_once_the_listener_is_deleted_until_it_is_back() -> None:
    async with grpc_backend("one") as one:
        resources = (api_listener(), methods(A="a"), cluster("a"), localities("a", (one,)))
        async with client_of(*resources) as (client, xds):
            await only(client, "one")
            publish(xds, *resources[1:])

            async def unavailable() -> bool:
                return all(answer.startswith("UNAVAILABLE") for answer in await client.answers())

            await eventually(unavailable)
            assert (await client.held())["Listener", NAME].status == "DOES_NOT_EXIST"

            publish(xds, *resources)
            await eventually(lambda: answers_are(client, "A", {"one"}))


async def test_73_nothing_that_exists_is_held_for_missing() -> None:
    """Calls have a deadline below the 15 seconds of the timer, and every resource arrived, some of them late."""
    async with grpc_backend("one") as one:
        clusters = [item for name in "abc" for item in (cluster(name), localities(name, (one,)))]
        async with client_of(api_listener(), methods(A="a", B="b"), *clusters) as (client, xds):
            await only(client, "one")
            await only(client, "one", method="B")
            publish(xds, api_listener("r2"), methods("r2", A="a", B="b", C="c"), *clusters)
            await eventually(lambda: answers_are(client, "C", {"one"}))

            await eventually(lambda: holds(client, ("RouteConfiguration", "r2"), but_not=("RouteConfiguration", "r")))
            held = await client.held()
            expected = {("Listener", NAME), ("RouteConfiguration", "r2")}
            expected |= {(kind, name) for kind in ("Cluster", "ClusterLoadAssignment") for name in "abc"}
            assert {key: item.status for key, item in held.items()} == dict.fromkeys(expected, "ACKED")


async def test_46_73_what_is_valid_in_a_refused_response_is_used() -> None:
    async with grpc_backend("one") as one:
        good = (api_listener(), cluster("a"), localities("a", (one,)))
        async with client_of(*good, refused_cluster("bad"), methods(A="a", B="bad")) as (client, xds):
            await eventually(lambda: answers_are(client, "A", {"one"}), within=10)
            held = await client.held()
            assert held["Cluster", "a"].status == "ACKED"
            assert held["Cluster", "bad"].status == "NACKED"
            (status,) = xds.ads.statuses()
            refusal = status.types[CLUSTER_TYPE].refusal
            assert refusal is not None
            assert "bad" in refusal.message
            (failed,) = set(await client.answers("B"))
            assert failed.startswith("UNAVAILABLE")

            publish(xds, *good, cluster("bad"), localities("bad", (one,)), methods(A="a", B="bad"))
            await eventually(lambda: answers_are(client, "B", {"one"}))
            await eventually(lambda: xds.ads.converged(ENVOYS.cluster))


async def test_74_calls_go_on_without_a_control_plane_and_changes_arrive_when_it_is_back() -> None:
    with tempfile.TemporaryDirectory(prefix="xds") as folder:
        at = UnixEndpoint(Path(folder) / "x.sock")
        async with grpc_backend("one") as one, grpc_backend("two") as two, grpc_client(at) as client:
            rest = (api_listener(), methods(A="a"), cluster("a"))
            async with control_plane(at) as xds:
                publish(xds, *rest, localities("a", (one,)))
                await only(client, "one")
            await only(client, "one")
            async with control_plane(at) as again:
                publish(again, *rest, localities("a", (two,)))
                await eventually(lambda: said_without_failing(client, "one", "two"), within=RETRY_SECONDS)


class EndingServer:
    """An ADS server that ends every stream before its first response; it knows when streams came."""

    def __init__(self) -> None:
        self.came: list[float] = []

    async def handle(self, _requests: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        self.came.append(time.monotonic())
        await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")


async def test_73_a_client_whose_streams_end_before_a_response_backs_off_and_recovers() -> None:
    ending = EndingServer()
    handler = grpc.stream_stream_rpc_method_handler(ending.handle)
    server = grpc.aio.server()
    service = grpc.method_handlers_generic_handler(ADS_SERVICE, {"StreamAggregatedResources": handler})
    server.add_generic_rpc_handlers((service,))
    with tempfile.TemporaryDirectory(prefix="xds") as folder:
        at = UnixEndpoint(Path(folder) / "x.sock")
        server.add_insecure_port(at.grpc_target)
        await server.start()
        async with grpc_backend("one") as one, grpc_client(at) as client:
            asked = asyncio.create_task(client.answers(calls=1))
            await eventually(lambda: len(ending.came) >= 3, within=RETRY_SECONDS)
            assert ending.came[2] - ending.came[0] > 1.0  # A57 begins at a second, with a fifth of jitter
            await asked
            await server.stop(None)

            async with control_plane(at) as xds:
                publish(xds, api_listener(), methods(A="a"), cluster("a"), localities("a", (one,)))
                await eventually(lambda: answers_are(client, "A", {"one"}), within=RETRY_SECONDS)


async def answers_are(client: GrpcClient, method: str, names: set[str]) -> bool:
    return set(await client.answers(method)) == names


async def said_without_failing(client: GrpcClient, before: str, after: str) -> bool:
    found = set(await client.answers())
    assert found <= {before, after}
    return found == {after}


async def holds(client: GrpcClient, key: tuple[str, str], *, but_not: tuple[str, str]) -> bool:
    held = await client.held()
    return key in held and but_not not in held
