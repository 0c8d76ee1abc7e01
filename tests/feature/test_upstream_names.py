"""Upstreams that are names: the real Envoy resolves them, all their addresses, and follows what DNS says."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2 as dns_cluster_pb
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2 as cares_pb

from control_plane.compile import snapshots
from control_plane.envoy_check import static_bootstrap
from control_plane.xds.packing import packed
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint
from tests.support.compiled import compiled, config, route
from tests.support.dns import NO_SUCH_NAME, SERVER_FAILURE, Names, dns_server
from tests.support.envoy import static_envoy
from tests.support.eventually import until
from tests.support.ports import free_port
from tests.support.upstream import Upstream, running_upstream

NAME = "twin.internal"
BOTH = ("127.0.0.1", "127.0.0.2")


@dataclass(frozen=True)
class Twins:
    """What DNS says, two servers on one port of two addresses, and a client of the Envoy before them."""

    names: Names
    servers: dict[str, Upstream]
    client: httpx.Client

    def answering(self) -> set[str]:
        """The addresses that answered some requests."""
        before = {address: server.served for address, server in self.servers.items()}
        for _ in range(10):
            self.client.get("/email")
        return {address for address, server in self.servers.items() if server.served > before[address]}


def envoy_config(folder: Path, listening: int, port: int) -> bootstrap_pb.Bootstrap:
    written = config(
        listeners={"public": {"address": f"127.0.0.1:{listening}"}},
        upstreams={"email": {"url": f"http://{NAME}:{port}", "health_check": "none"}},
        routes=[route()],
    )
    services = parse_endpoint("unix:/nowhere")
    envoy, _ = snapshots(compiled(written).gateway, Wiring(services, services, str(folder / "access.log")))
    return static_bootstrap(envoy)


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    port, listening = free_port(), free_port()
    with ExitStack() as stack:
        names = stack.enter_context(dns_server())
        servers = {address: stack.enter_context(running_upstream(port, host=address)) for address in BOTH}
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{listening}", trust_env=False))
        stack.enter_context(static_envoy(asking(names.port, envoy_config(tmp_path, listening, port)), tmp_path))
        yield Twins(names, servers, client)


def asking(dns_port: int, bootstrap: bootstrap_pb.Bootstrap) -> bootstrap_pb.Bootstrap:
    """The same, with this DNS server instead of the machine's."""
    (cluster,) = (item for item in bootstrap.static_resources.clusters if item.name == "email")
    dns = dns_cluster_pb.DnsCluster.FromString(cluster.cluster_type.typed_config.value)
    resolver = cares_pb.CaresDnsResolverConfig.FromString(dns.typed_dns_resolver_config.typed_config.value)
    resolver.resolvers.add().socket_address.address = "127.0.0.1"
    resolver.resolvers[0].socket_address.port_value = dns_port
    dns.typed_dns_resolver_config.typed_config.CopyFrom(packed(resolver))
    cluster.cluster_type.typed_config.CopyFrom(packed(dns))
    return bootstrap


def test_a_name_is_all_its_addresses_for_as_long_as_dns_says_so(twins: Twins) -> None:
    """It is unknown at the start, which keeps nothing from starting."""
    unknown = twins.client.get("/email")
    twins.names[NAME] = BOTH
    until(lambda: twins.answering() == set(BOTH))
    twins.names[NAME] = BOTH[1:]
    until(lambda: twins.answering() == {BOTH[1]})
    twins.names[NAME] = BOTH
    until(lambda: twins.answering() == set(BOTH))

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (502, "upstream_unreachable")


def test_an_answer_that_changes_moves_the_requests_and_fails_none(twins: Twins) -> None:
    twins.names[NAME] = BOTH[:1]
    until(lambda: twins.answering() == {BOTH[0]})
    statuses: set[int] = set()

    def moved(to: set[str]) -> bool:
        before = {address: server.served for address, server in twins.servers.items()}
        statuses.update(twins.client.get("/email").status_code for _ in range(10))
        return {address for address, server in twins.servers.items() if server.served > before[address]} == to

    for answer in (BOTH, BOTH[1:], BOTH[:1]):
        twins.names[NAME] = answer
        until(lambda answer=answer: moved(set(answer)))

    assert statuses == {200}


@pytest.mark.parametrize(
    "trouble",
    [pytest.param({"failure": SERVER_FAILURE}, id="SERVFAIL"), pytest.param({"silent": True}, id="silence")],
)
def test_the_last_answer_holds_while_dns_is_away(twins: Twins, trouble: dict[str, int]) -> None:
    twins.names[NAME] = BOTH[:1]
    until(lambda: twins.answering() == {BOTH[0]})

    vars(twins.names).update(trouble)
    twins.names[NAME] = BOTH[1:]
    asked = twins.names.asked
    until(lambda: twins.names.asked >= asked + 3)
    assert [twins.client.get("/email").status_code for _ in range(10)] == [200] * 10
    assert twins.answering() == {BOTH[0]}

    vars(twins.names).update(failure=0, silent=False)
    until(lambda: twins.answering() == {BOTH[1]})


def test_a_name_that_is_no_more_has_no_endpoints(twins: Twins) -> None:
    twins.names[NAME] = BOTH
    until(lambda: twins.answering() == set(BOTH))

    twins.names.failure = NO_SUCH_NAME
    until(lambda: twins.client.get("/email").status_code != 200)
    twins.names.failure = 0
    until(lambda: twins.answering() == set(BOTH))


def test_dns_is_asked_once_a_lifetime(twins: Twins) -> None:
    """The lifetime of these answers is a second, however many requests there are."""
    twins.names[NAME] = BOTH
    until(lambda: twins.answering() == set(BOTH))
    asked, began = twins.names.asked, time.monotonic()
    until(lambda: twins.answering() and time.monotonic() - began > 3)

    # A second is two questions at most: for addresses of both families.
    assert 2 <= twins.names.asked - asked <= 2 * (time.monotonic() - began + 1)


def test_silent_dns_keeps_nobody_waiting_for_long(tmp_path: Path) -> None:
    """Envoy listens when it has asked for each name; `static_envoy` waits for that, and not for minutes."""
    listening = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        asked = asking(silent.getsockname()[1], envoy_config(tmp_path, listening, 80))
        with static_envoy(asked, tmp_path):
            answer = httpx.get(f"http://127.0.0.1:{listening}/email", trust_env=False)

    assert answer.status_code == 502
