"""The xDS server's figures: streams, pushes, verdicts, and how long a verdict takes."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from control_plane.server.exchange import Ack, Push, Verdict
from control_plane.server.types import BESIDE_TYPES, GROUPS, short_name

# What a client asks for beside these is counted together: it may ask for anything.
KNOWN: Final = BESIDE_TYPES.union(*(group.push_order for group in GROUPS))


class XdsMetrics:
    """Counted by the group of consumers and by resource type."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge("tollgate_xds_streams", "Open xDS streams", ["cluster"], registry=registry)
        self.faults = Counter(
            "tollgate_xds_stream_faults", "Streams that a fault of the server ended", registry=registry
        )
        self._heartbeats = Counter("tollgate_xds_heartbeats", "Lifetimes confirmed", ["type"], registry=registry)
        self._pushes = Counter("tollgate_xds_pushes", "Responses sent", ["type"], registry=registry)
        self._acks = Counter("tollgate_xds_acks", "Responses accepted", ["type"], registry=registry)
        self._nacks = Counter("tollgate_xds_nacks", "Responses refused", ["type"], registry=registry)
        self._seconds = Histogram(
            "tollgate_xds_push_to_ack_seconds", "From push to ACK or NACK", ["type"], registry=registry
        )

    def pushed(self, push: Push) -> None:
        (self._heartbeats if push.heartbeat else self._pushes).labels(_label(push.type_url)).inc()

    def judged(self, verdict: Verdict) -> None:
        label = _label(verdict.push.type_url)
        (self._acks if isinstance(verdict, Ack) else self._nacks).labels(label).inc()
        self._seconds.labels(label).observe(verdict.seconds)


def _label(type_url: str) -> str:
    return short_name(type_url) if type_url in KNOWN else "other"
