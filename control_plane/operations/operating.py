"""The operations of a running control plane, from what is live, what is remembered and who is connected."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from control_plane.discovery.states import BackendState
from control_plane.gate.candidate import HeldBack
from control_plane.history.entries import Entry
from control_plane.history.record import Record
from control_plane.keys.stored import StoredIdentities
from control_plane.live.configuration import LiveConfiguration
from control_plane.operations.described import running
from control_plane.operations.models import backend_report, model_counts
from control_plane.operations.reports import (
    ConfigurationReport,
    HistoryEntry,
    HistoryReport,
    IdentitiesReport,
    NodeResult,
    Pinned,
    RollbackResult,
    Running,
    StatusReport,
    node_reports,
    status_report,
)
from control_plane.operations.reports import HeldBack as HeldBackReport
from control_plane.server.ads import Ads
from control_plane.xds.wiring import Wiring
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE


class LiveOperations:
    """What operators ask of this process."""

    def __init__(
        self,
        live: LiveConfiguration,
        record: Record,
        ads: Ads,
        wiring: Wiring,
        troubles: Callable[[], Iterable[str]],
        stored: StoredIdentities,
        backends: Callable[[], Iterable[BackendState]],
    ) -> None:
        self._live = live
        self._record = record
        self._ads = ads
        self._wiring = wiring
        self._troubles = troubles
        self._stored = stored
        self._backends = backends

    def status(self) -> StatusReport:
        status = self._live.status
        pin = status.rolled_back
        configuration = ConfigurationReport(
            source=self._live.source,
            live_since=status.since,
            digest=self._live.current.loaded.inputs.digest,
            number=status.number,
            errors=status.errors,
            held_back=tuple(map(_held, status.held)),
            rolled_back=None if pin is None else Pinned(pin.number, pin.at),
            restored=status.restored,
        )
        nodes = node_reports(self._ads.statuses())
        report = status_report(configuration, nodes, self._troubles(), self._identities())
        backends = tuple(self._backends())
        counts = model_counts(self._live.current, backends)
        return replace(report, models=counts, backends=tuple(map(backend_report, backends)))

    def _identities(self) -> IdentitiesReport:
        stored = self._stored.distribution.snapshot
        return IdentitiesReport(
            store=self._stored.identities.place,
            consumers=len(stored.of(CONSUMER_TYPE)),
            keys=len(stored.of(API_KEY_TYPE)),
            trouble=self._stored.trouble,
        )

    async def history(self, limit: int) -> HistoryReport:
        """The newest entries, the newest first."""
        status = self._live.status
        pinned = None if status.rolled_back is None else status.rolled_back.number
        entries = tuple(_entry(item, status.number, pinned) for item in await self._record.entries(limit))
        return HistoryReport(entries, self._record.reason)

    async def rollback(self, number: int | None) -> RollbackResult:
        """Makes an entry live until the file changes; without one, what the file says. CannotRollBack."""
        await self._live.roll_back(number)
        status = self._live.status
        digest = self._live.current.loaded.inputs.digest
        return RollbackResult(status.number, digest, status.rolled_back is not None, status.errors)

    async def running(self, key: bytes) -> Running:
        """What is live, secrets hashed with this key."""
        found, nodes = self._live.published.candidate, node_reports(self._ads.statuses())
        return await asyncio.to_thread(running, found.checked, found.release, self._wiring, key, nodes)


def _held(item: HeldBack) -> HeldBackReport:
    return HeldBackReport(item.kind, item.name, str(item.location), item.reason)


def _entry(item: Entry, live: int | None, pinned: int | None) -> HistoryEntry:
    return HistoryEntry(
        number=item.number,
        at=item.at,
        digest=item.digest,
        source=item.source,
        result=item.result.value,
        held=item.held,
        nodes={node.node: NodeResult(node.accepted, node.reason) for node in item.nodes},
        live=item.number == live,
        rolled_back_to=item.number == pinned,
    )
