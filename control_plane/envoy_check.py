"""Asks the real Envoy whether it would accept a snapshot: `envoy --mode validate` on a static bootstrap made of it.

It catches what Python cannot know: validation rules of the protos, regular expressions, unknown extensions. The
bootstrap travels as binary protobuf, so that fields newer than our generated messages survive.
"""

import asyncio
import os
import re
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.config.cluster.v3 import cluster_pb2 as cluster_pb
from envoy.config.endpoint.v3 import endpoint_pb2 as endpoint_pb
from envoy.config.listener.v3 import listener_pb2 as listener_pb
from envoy.config.route.v3 import route_pb2 as route_configuration_pb
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.bootstrap.internal_listener.v3 import internal_listener_pb2 as internal_listener_pb
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as http_connection_manager_pb,
)
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as secret_pb

from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.packing import packed, serialized
from control_plane.xds.references import visit_secret_references

# As in the bootstraps that Envoy is started with.
RUNTIME = {
    "re2.max_program_size.error_level": 4096,
    "envoy.reloadable_features.ext_proc_graceful_grpc_close": True,
}
# Bytes at the end of what Envoy says.
LONGEST_SAID = 1 << 16
TIMEOUT = 30.0  # seconds; half a second is usual at 2,000 routes


@dataclass(frozen=True)
class Verdict:
    """Whether Envoy accepts; `reason` is its own message where it does not. A `late` one was not given in time."""

    accepted: bool
    reason: str
    late: bool = False


async def envoy_verdict(snapshot: Snapshot, envoy: Path, seconds: float = TIMEOUT) -> Verdict:
    """Envoy's verdict on the whole snapshot, in so many seconds; nothing is bound and nobody is called."""
    with tempfile.TemporaryDirectory(prefix="tollgate-validate-") as folder:
        bootstrap = Path(folder) / "bootstrap.pb"
        await asyncio.to_thread(_write, snapshot, bootstrap)
        said = Path(folder) / "said"  # a file: a pipe would have to be read, or keep us as long as somebody holds it
        try:
            with said.open("wb") as stderr:
                process = await asyncio.create_subprocess_exec(
                    str(envoy), "--mode", "validate", "-c", str(bootstrap), "--disable-hot-restart", "-l", "error",
                    stdout=asyncio.subprocess.DEVNULL, stderr=stderr, start_new_session=True,
                )  # fmt: skip
        except OSError as error:  # replaced or removed while the gateway runs
            return Verdict(accepted=False, reason=f"cannot run {envoy}: {error.strerror}")
        try:
            ended = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            return Verdict(
                accepted=False, reason=f"envoy --mode validate gave no verdict in {seconds:.0f} s", late=True
            )
        finally:
            if process.returncode is None:  # late, or nobody waits for it any more: the control plane stops
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with what a wrapper of Envoy started
                await process.wait()
        if ended < 0:  # memory ran out: what it said last is not why
            return Verdict(accepted=False, reason=f"envoy --mode validate was ended by signal {-ended}")
        return Verdict(ended == 0, _reason(_end_of(said)))


def _end_of(file: Path) -> str:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - LONGEST_SAID))
        return opened.read().decode(errors="replace")


def _write(snapshot: Snapshot, file: Path) -> None:
    file.write_bytes(serialized(static_bootstrap(snapshot, logs=False)))


def static_bootstrap(snapshot: Snapshot, *, logs: bool = True) -> bootstrap_pb.Bootstrap:
    """The snapshot as a bootstrap in which nothing is left to discovery; without `logs` it writes none."""
    bootstrap = bootstrap_pb.Bootstrap()
    bootstrap.layered_runtime.layers.add(name="static").static_layer.update(RUNTIME)
    internal = packed(internal_listener_pb.InternalListener())
    bootstrap.bootstrap_extensions.add(name="envoy.bootstrap.internal_listener", typed_config=internal)
    static = bootstrap.static_resources
    for item in snapshot.of(names.SECRET_TYPE).values():
        static.secrets.append(secret_pb.Secret.FromString(item.body))
    for item in snapshot.of(names.CLUSTER_TYPE).values():
        static.clusters.append(_static_cluster(cluster_pb.Cluster.FromString(item.body), snapshot))
    found = [listener_pb.Listener.FromString(item.body) for item in snapshot.of(names.LISTENER_TYPE).values()]
    # Those with a port first.
    for listener in sorted(found, key=lambda listener: listener.HasField("internal_listener")):
        static.listeners.append(_static_listener(listener, snapshot, logs=logs))
    return bootstrap


def _static_cluster(cluster: cluster_pb.Cluster, snapshot: Snapshot) -> cluster_pb.Cluster:
    if cluster.type == cluster_pb.Cluster.EDS:
        body = snapshot.of(names.ENDPOINTS_TYPE)[cluster.name].body
        cluster.type = cluster_pb.Cluster.STATIC
        cluster.ClearField("eds_cluster_config")
        cluster.load_assignment.CopyFrom(endpoint_pb.ClusterLoadAssignment.FromString(body))
    visit_secret_references(cluster, _leave_nothing_to_discovery)
    return cluster


def _static_listener(listener: listener_pb.Listener, snapshot: Snapshot, *, logs: bool) -> listener_pb.Listener:
    if listener.HasField("internal_listener"):
        return listener  # its routes are in it
    for chain in listener.filter_chains:
        manager = http_connection_manager_pb.HttpConnectionManager()
        chain.filters[-1].typed_config.Unpack(manager)
        for link in manager.http_filters:
            if link.HasField("config_discovery"):  # told beside the configuration
                type_url = link.config_discovery.default_config.type_url
                link.typed_config.type_url = type_url
        body = snapshot.of(names.ROUTES_TYPE)[manager.rds.route_config_name].body
        manager.route_config.CopyFrom(route_configuration_pb.RouteConfiguration.FromString(body))
        if not logs:
            _write_no_log(manager)
        chain.filters[-1].typed_config.CopyFrom(packed(manager))
        visit_secret_references(chain.transport_socket, _leave_nothing_to_discovery)
    return listener


def _write_no_log(manager: http_connection_manager_pb.HttpConnectionManager) -> None:
    """Envoy opens its logs to validate, and their folder may be another host's or container's."""
    for log in manager.access_log:
        file = file_pb2.FileAccessLog()
        if log.typed_config.Unpack(file):
            file.path = os.devnull
            log.typed_config.CopyFrom(packed(file))


def _leave_nothing_to_discovery(reference: secret_pb.SdsSecretConfig) -> None:
    """A secret that only has a name is one of the bootstrap's own."""
    reference.ClearField("sds_config")


def _reason(stderr: str) -> str:
    """The last line that says something, without the log's prefix and the name of our temporary file."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return re.sub(r"^(\[[^]]*\]\s*)*(error initializing configuration '[^']*':\s*)?", "", lines[-1]) if lines else ""
