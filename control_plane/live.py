"""The live configuration: what the file says now, or the last of it that could be enforced.

A change is compiled, checked, shown to the real Envoy where its binary is at hand, and only then published. One that
fails at any step changes nothing: it is logged with its line, counted, and shown in the status.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from control_plane.certificates import Expiry
from control_plane.compile import Checked, compile_file, snapshots
from control_plane.config.errors import ConfigError, InvalidConfig, Problem
from control_plane.config.files import Digest
from control_plane.config.load import source_place
from control_plane.consistency import InconsistentSnapshot
from control_plane.envoy_check import envoy_verdict
from control_plane.publisher import Publisher
from control_plane.snapshot import Snapshot
from control_plane.xds.wiring import Wiring
from service_kit.clock import Clock
from service_kit.log import Logger

# Seconds.
COMPILE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """How changes of the configuration went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.loads = Counter("tollgate_config_loads", "Configurations read, by result", ["result"], registry=registry)
        self.valid = Gauge(
            "tollgate_config_valid", "1 while the file on disk is the one that is live", registry=registry
        )
        self.compiled = Histogram(
            "tollgate_config_compile_seconds", "From a changed file to a publishable snapshot",
            buckets=COMPILE_BUCKETS, registry=registry,
        )  # fmt: skip
        self.certificates = Expiry(registry)


@dataclass(frozen=True)
class Status:
    """What is live and what was wrong with the last change; times in seconds since the epoch."""

    since: float
    errors: tuple[str, ...] = ()


class LiveConfiguration:
    """Reads one configuration again and again, and publishes each that is good; without a path, the preset."""

    def __init__(
        self,
        path: Path | None,
        *,
        environ: Mapping[str, str],
        wiring: Wiring,
        envoy: Path | None,
        publisher: Publisher,
        log: Logger,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self._path = path
        self._place = source_place(path)
        self._environ = environ
        self._wiring = wiring
        self._envoy = envoy
        self._publisher = publisher
        self._log = log
        self._clock = clock
        self._metrics = Metrics(registry)
        self._current: Checked | None = None
        self._published: tuple[Snapshot, Snapshot] | None = None
        self._status = Status(since=clock.now())
        self._metrics.valid.set_function(lambda: float(self._current is not None and not self.status.errors))
        self.files: Mapping[Path, Digest] = {}

    @property
    def current(self) -> Checked:
        """The configuration that is live; start() has made one so."""
        if self._current is None:
            raise RuntimeError("the configuration is read before anything asks for it")
        return self._current

    @property
    def status(self) -> Status:
        """What was wrong with the file, or why a service refuses what is in it."""
        refused = tuple(f"{self._place.file}: refused by {reason}" for reason in self._publisher.refusals)
        return replace(self._status, errors=(*self._status.errors, *refused))

    async def start(self) -> None:
        """Makes the first configuration live, or raises InvalidConfig: there is nothing yet to fall back on."""
        await self._load()

    async def reload(self) -> None:
        """Makes the file's configuration live if it is good; keeps the last good one if not.

        Afterwards `files` are those whose change may matter next, of the new configuration or of the rejected one.
        """
        try:
            await self._load()
        except InvalidConfig as error:
            self._rejected(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one change costs that change, not the live one
            self._log.exception("the compiler failed")
            self._rejected(self._whole_file(f"the compiler failed, please report it: {error!r}"))

    async def _load(self) -> None:
        began = self._clock.monotonic()
        checked = await asyncio.to_thread(compile_file, self._path, self._environ)
        self._refuse_a_moved_admin_address(checked)
        release = await self._release(checked)
        is_new = release != self._published
        if is_new:
            self._publisher.publish(*release)
            self._published = release
        self._current = checked
        self.files = checked.loaded.files
        self._status = Status(since=self._clock.now() if is_new else self._status.since)
        if is_new:
            self._went_live(checked, began)
            for warning in await asyncio.to_thread(checked.warnings, self._clock.now()):
                self._log.warning(warning)

    def _went_live(self, checked: Checked, began: float) -> None:
        took = self._clock.monotonic() - began
        self._metrics.loads.labels("live").inc()
        self._metrics.compiled.observe(took)
        self._metrics.certificates.tell(checked.gateway.listeners)
        self._log.info(
            "configuration live", file=self._place.file, routes=len(checked.gateway.routes), seconds=round(took, 3)
        )

    async def _release(self, checked: Checked) -> tuple[Snapshot, Snapshot]:
        try:
            envoy, policies = await asyncio.to_thread(snapshots, checked.gateway, self._wiring)
        except InconsistentSnapshot as error:
            reason = f"the compiler made an inconsistent snapshot, please report it: {error}"
            raise self._whole_file(reason, checked.loaded.files) from error
        if self._envoy is not None:
            verdict = await envoy_verdict(envoy, self._envoy)
            if not verdict.accepted:
                raise self._whole_file(f"Envoy refuses it: {verdict.reason}", checked.loaded.files)
        return envoy, policies

    def _refuse_a_moved_admin_address(self, checked: Checked) -> None:
        if self._current is None or checked.admin_address == self._current.admin_address:
            return
        problem = Problem(
            ("admin", "address"),
            f"the admin address is {self._current.admin_address} and cannot move while the gateway runs",
            "restart the control plane to move it",
        )
        raise InvalidConfig([checked.loaded.marks.located(problem)], checked.loaded.files)

    def _whole_file(self, message: str, files: Mapping[Path, Digest] = MappingProxyType({})) -> InvalidConfig:
        return InvalidConfig([ConfigError(self._place, (), message)], files)

    def _rejected(self, error: InvalidConfig) -> None:
        self.files = {**self.current.loaded.files, **error.files}
        texts = tuple(map(str, error.errors))
        for text in texts:
            self._log.error("configuration rejected, the last good one stays live", error=text)
        self._status = Status(since=self._status.since, errors=texts)
        self._metrics.loads.labels("rejected").inc()
