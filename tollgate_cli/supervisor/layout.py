"""Where things lie in a state directory: sockets, logs, the store's data, the lock."""

from dataclasses import dataclass
from pathlib import Path

from control_plane.xds.wiring import Wiring
from service_kit.audit import AUDIT_NAME
from service_kit.endpoint import UnixEndpoint, unix_endpoint


@dataclass(frozen=True)
class Sockets:
    """The addresses by which the processes of one host reach each other."""

    xds: UnixEndpoint
    authz: UnixEndpoint
    authz_metrics: UnixEndpoint
    oauth: UnixEndpoint
    usage: UnixEndpoint
    ledger: UnixEndpoint
    ledger_metrics: UnixEndpoint
    ratelimit: UnixEndpoint
    ratelimit_metrics: UnixEndpoint
    translator: UnixEndpoint
    translator_metrics: UnixEndpoint
    store: UnixEndpoint
    envoy: UnixEndpoint


@dataclass(frozen=True)
class Layout:
    """A state directory, as an absolute path."""

    root: Path
    sockets: Sockets

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def access_log(self) -> Path:
        return self.logs / "access.log"

    @property
    def usage_events(self) -> Path:
        """What the rate-limit service tells the ledger."""
        return self.root / "usage-events.jsonl"

    @property
    def audit_log(self) -> Path:
        """What the control plane tells the ledger."""
        return self.root / AUDIT_NAME

    @property
    def bootstrap(self) -> Path:
        return self.run / "bootstrap.yaml"

    @property
    def wiring(self) -> Wiring:
        """What Envoy is told of the services of this host."""
        sockets = self.sockets
        return Wiring(
            sockets.authz, sockets.ratelimit, str(self.access_log),
            oauth=sockets.oauth, usage=sockets.usage, translator=sockets.translator,
        )  # fmt: skip

    def lock(self, name: str) -> Path:
        return self.run / f"{name}.lock"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"


def layout(state_dir: Path) -> Layout:
    """The layout of a state directory; EndpointError where a socket's path would be too long."""
    root = state_dir.absolute()
    run = root / "run"
    return Layout(
        root=root,
        sockets=Sockets(
            xds=unix_endpoint(run / "xds.sock"),
            authz=unix_endpoint(run / "authz.sock"),
            oauth=unix_endpoint(run / "oauth.sock"),
            authz_metrics=unix_endpoint(run / "authz-metrics.sock"),
            usage=unix_endpoint(run / "usage.sock"),
            ledger=unix_endpoint(run / "ledger.sock"),
            ledger_metrics=unix_endpoint(run / "ledger-metrics.sock"),
            ratelimit=unix_endpoint(run / "ratelimit.sock"),
            ratelimit_metrics=unix_endpoint(run / "ratelimit-metrics.sock"),
            translator=unix_endpoint(run / "translator.sock"),
            translator_metrics=unix_endpoint(run / "translator-metrics.sock"),
            store=unix_endpoint(run / "store.sock"),
            envoy=unix_endpoint(run / "envoy.sock"),
        ),
    )


def create(place: Layout) -> None:
    """Makes the directories; nobody else may enter: the sockets and the keys in them are guarded by nothing more."""
    for folder in (place.root, place.run, place.logs, place.store):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (place.run, place.store):
        folder.chmod(0o700)
