"""One request through ever more of the gateway: nothing, bare Envoy, native rules, an authorizer, a limiter.

Every variant takes the same request and hands it to the same upstream; each has processes of its own.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb

from authz_service.answer import allowed
from authz_service.identity import Grant
from authz_service.places import AUTHORIZATION, Change
from bench.edits import edit_to_live
from bench.envoys import access_log, running_envoy, written_bootstrap
from bench.ground import SUBJECT, gateway_ground, issuer
from bench.load import Target
from bench.processes import running_process
from bench.programs import processes_of
from bench.suite import Ground, Probe, Running, Suite, Variant
from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from control_plane.ir.model import Gateway
from control_plane.xds import names
from control_plane.xds.packing import serialized
from control_plane.xds.wiring import Wiring
from service_kit.clock import SystemClock
from service_kit.endpoint import unix_endpoint
from tests.support.gateway import running_gateway, with_addresses
from tests.support.ports import free_port
from tollgate_cli.supervisor.processes import AUTHZ, ENVOY

PATH = "/app/bench"
PAYLOAD = b'{"input": "%s"}' % (b"x" * 1000)
# Never reached: what is measured is the asking.
REQUESTS_PER_MINUTE = 1_000_000


def target(ground: Ground, port: int) -> Target:
    """The request of every variant."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {ground.token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(PAYLOAD)}\r\n\r\n"
    )
    return Target(port, head.encode() + PAYLOAD, ground.upstream_body)


def config(ground: Ground, *, enforce: str = "service", **route: Any) -> dict[str, Any]:
    """One route behind a JWT, judged by one of the two; more of the route is the caller's."""
    app = {"name": "app", "match": {"path": "/app/*"}, "upstream": "app", "auth": ["jwt"], **route}
    return {
        "identity": {"jwt": [issuer(ground.jwks, enforce)]},
        "upstreams": {"app": {"url": ground.upstream_url}},
        "routes": [app],
    }


LIMITED: dict[str, Any] = {"limits": [{"requests": f"{REQUESTS_PER_MINUTE}/minute"}]}
LIMITED_HERE: dict[str, Any] = {"limits": [{"requests": f"{REQUESTS_PER_MINUTE}/minute", "scope": "instance"}]}


@contextmanager
def upstream_alone(ground: Ground) -> Iterator[Running]:
    yield Running(target(ground, ground.upstream_port), {})


@contextmanager
def bare(ground: Ground) -> Iterator[Running]:
    with _bare(ground, "bare", []) as running:
        yield running


@contextmanager
def bare_with_log(ground: Ground) -> Iterator[Running]:
    with _bare(ground, "bare-log", access_log(ground.folder / "bare-access.log")) as running:
        yield running


@contextmanager
def public(ground: Ground) -> Iterator[Running]:
    port = free_port()
    _, bootstrap = _compiled(ground, port, "public", config(ground, auth="none"))
    with running_envoy(ground.envoy, _written(ground, "public", bootstrap)) as envoy:
        yield Running(target(ground, port), {ENVOY: envoy})


@contextmanager
def native_rules(ground: Ground) -> Iterator[Running]:
    port = free_port()
    _, bootstrap = _compiled(ground, port, "native", config(ground, enforce="envoy", **LIMITED_HERE))
    with running_envoy(ground.envoy, _written(ground, "native", bootstrap)) as envoy:
        yield Running(target(ground, port), {ENVOY: envoy})


@contextmanager
def empty_handler(ground: Ground) -> Iterator[Running]:
    port = free_port()
    gateway, bootstrap = _compiled(ground, port, "empty", config(ground))
    answer = _answer(next(route.demand.profile for route in gateway.routes if route.demand is not None))
    address = str(_wiring(ground, "empty").authz)
    with (
        running_process([sys.executable, "-m", "bench.empty_handler", "authorizer", address, answer.hex()]) as handler,
        running_envoy(ground.envoy, _written(ground, "empty", bootstrap)) as envoy,
    ):
        yield Running(target(ground, port), {ENVOY: envoy, AUTHZ: handler})


@contextmanager
def authz(ground: Ground) -> Iterator[Running]:
    with _whole(ground, config(ground)) as running:
        yield running


@contextmanager
def authz_and_limits(ground: Ground) -> Iterator[Running]:
    with _whole(ground, config(ground, **LIMITED)) as running:
        yield running


def edits(_ground: Ground, running: Mapping[str, Running], count: int) -> list[float]:
    gateway = running["authz-and-limits"].gateway
    assert gateway is not None  # noqa: S101 - this variant is a whole one; the type checker cannot see it
    return edit_to_live(gateway, count, SystemClock())


SUITE = Suite(
    name="gateway",
    title="What a rule costs",
    baseline="bare",
    ground=gateway_ground,
    variants=(
        Variant("upstream", "no gateway: what generator and upstream take by themselves", upstream_alone),
        Variant("bare", "Envoy, one route, one cluster, no filter but the router, no log", bare),
        Variant("bare-log", "the same with Tollgate's access log, which a gateway always writes", bare_with_log),
        Variant("public", "Tollgate's listener and filters on a route without a rule, no call", public),
        Variant(
            "native",
            "the same with a JWT and a limit of `scope: instance`, checked in Envoy itself, no call",
            native_rules,
        ),
        Variant("empty-handler", "Tollgate's filters with a call to an authorizer that decides nothing", empty_handler),
        Variant("authz", "Tollgate: JWT checked by `authz_service`", authz),
        Variant(
            "authz-and-limits", "Tollgate: the same, and a limit by `ratelimit_service` and Valkey", authz_and_limits
        ),
    ),
    probes=(Probe("edit to live", "from the file's change to the first request that sees it", edits),),
)


@contextmanager
def _bare(ground: Ground, name: str, log: Sequence[object]) -> Iterator[Running]:
    port = free_port()
    values = {"PORT": port, "UPSTREAM_PORT": ground.upstream_port, "ACCESS_LOG": log}
    with running_envoy(ground.envoy, written_bootstrap(ground.folder, name, "bare.yaml", values)) as envoy:
        yield Running(target(ground, port), {ENVOY: envoy})


@contextmanager
def _whole(ground: Ground, content: Mapping[str, Any]) -> Iterator[Running]:
    """A gateway as an operator runs it, its supervisor counted."""
    with running_gateway(content, whole=True) as gateway:
        yield Running(target(ground, gateway.port), processes_of(gateway), gateway)


def _answer(profile: str) -> bytes:
    """What the authorizer itself answers to the token of every variant."""
    nothing: frozenset[str] = frozenset()
    grant = Grant(
        subject=SUBJECT, consumer=SUBJECT, named_consumer=None, tenant=None, plan=None, key_id=None,
        scopes=nothing, roles=nothing, forward=False,
    )  # fmt: skip
    return allowed(grant, profile, str(UUID(int=0)), without=Change(AUTHORIZATION))


def _wiring(ground: Ground, name: str) -> Wiring:
    return Wiring(
        authz=unix_endpoint(ground.folder / f"{name}-authz.sock"),
        ratelimit=unix_endpoint(ground.folder / f"{name}-ratelimit.sock"),
        access_log=str(ground.folder / f"{name}-access.log"),
    )


def _compiled(
    ground: Ground, port: int, name: str, content: Mapping[str, Any]
) -> tuple[Gateway, bootstrap_pb.Bootstrap]:
    """A gateway without its control plane and services; whether those are well is not asked."""
    file = ground.folder / f"{name}-gateway.yaml"
    file.write_text(yaml.safe_dump(with_addresses(content, port, free_port())), encoding="utf-8")
    gateway = compile_file(file, {}).gateway
    bootstrap = static_bootstrap(snapshots(gateway, _wiring(ground, name))[0])
    for cluster in bootstrap.static_resources.clusters:
        if cluster.name in (names.AUTHZ_CLUSTER, names.RATELIMIT_CLUSTER):
            del cluster.health_checks[:]
    return gateway, bootstrap


def _written(ground: Ground, name: str, bootstrap: bootstrap_pb.Bootstrap) -> Path:
    file = ground.folder / f"{name}.pb"  # binary, so that fields newer than our generated messages survive
    file.write_bytes(serialized(bootstrap))
    return file
