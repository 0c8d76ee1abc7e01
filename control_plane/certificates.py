"""When certificates of listeners expire, for those who watch over them."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge

from control_plane.config.values.pem import certificates
from control_plane.ir.model import Listener


class Expiry:
    """One series a listener with TLS: the first certificate of its chain to expire."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(
            "tollgate_certificate_expiry_seconds",
            "When the certificate of a listener expires, in seconds since the epoch",
            ["listener"],
            registry=registry,
        )

    def tell(self, listeners: Iterable[Listener]) -> None:
        """These are the live listeners, and there are no others."""
        self._gauge.clear()
        for listener in listeners:
            if listener.tls is not None:
                chain = certificates(listener.tls.identification.certificate)
                first = min(item.not_valid_after_utc for item in chain)
                self._gauge.labels(listener.name).set(first.timestamp())
