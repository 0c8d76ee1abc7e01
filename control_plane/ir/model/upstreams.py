"""Services behind the gateway."""

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

from control_plane.ir.model.secret import Secret


@dataclass(frozen=True)
class Address:
    """A host, by IP address or DNS name, and a port."""

    host: str
    port: int


class Protocol(Enum):
    """What an upstream speaks; the value is the word of the configuration."""

    HTTP1 = "http1"
    HTTP2 = "http2"


class Balancing(Enum):
    """How an endpoint is chosen; the value is the word of the configuration."""

    ROUND_ROBIN = "round_robin"
    LEAST_REQUEST = "least_request"
    RANDOM = "random"
    RING_HASH = "ring_hash"
    MAGLEV = "maglev"


@dataclass(frozen=True)
class Identification:
    """A certificate chain, its own first, and its private key; both PEM."""

    certificate: str
    private_key: Secret


@dataclass(frozen=True)
class UpstreamTls:
    """How TLS to an upstream is spoken.

    `ca` is PEM; None stands for the system's authorities. Without `server_name`, an endpoint is asked for and verified
    by its own host.
    """

    minimum_version: str
    verify: bool = True
    ca: str | None = None
    server_name: str | None = None
    identification: Identification | None = None


@dataclass(frozen=True)
class TcpCheck:
    """Healthy is what accepts a connection, encrypted where the upstream is."""


@dataclass(frozen=True)
class HttpCheck:
    """Healthy is what answers GET with one of the statuses; without `host`, each endpoint gets its own."""

    path: str
    host: str | None
    statuses: tuple[int, ...]


@dataclass(frozen=True)
class GrpcCheck:
    """Healthy is what grpc.health.v1 says is SERVING; an empty service is the whole server."""

    service: str
    host: str | None


@dataclass(frozen=True)
class HealthCheck:
    """How, how often and how long an upstream is asked; seconds, and answers in a row that turn the verdict."""

    ask: TcpCheck | HttpCheck | GrpcCheck
    interval: float
    timeout: float
    unhealthy_after: int
    healthy_after: int


@dataclass(frozen=True)
class CircuitBreaker:
    """What one Envoy asks of an upstream at a time; the retry budget in percent of requests under way."""

    max_connections: int
    max_pending: int
    max_requests: int
    retry_budget: float
    min_retries: int


@dataclass(frozen=True)
class OutlierDetection:
    """When an endpoint that answers badly is left alone; seconds, and percent of the endpoints."""

    consecutive_5xx: int
    interval: float
    ejection_time: float
    max_ejected: float


@dataclass(frozen=True)
class Credential:
    """A header that the gateway adds to every request to an upstream."""

    header: str
    value: Secret


@dataclass(frozen=True)
class KubernetesService:
    """A Service whose EndpointSlices tell the endpoints; its port by name, or by the number that the pods listen on."""

    namespace: str
    service: str
    port: str | int

    @property
    def host(self) -> str:
        """The name by which its pods are known."""
        return f"{self.service}.{self.namespace}.svc"


@dataclass(frozen=True)
class Upstream:
    """A service behind the gateway; times in seconds."""

    name: str
    endpoints: tuple[Address, ...]
    connect_timeout: float
    circuit_breaker: CircuitBreaker
    protocol: Protocol = Protocol.HTTP1
    tls: UpstreamTls | None = None
    health_check: HealthCheck | None = None
    balancing: Balancing = Balancing.ROUND_ROBIN
    outlier_detection: OutlierDetection | None = None
    credential: Credential | None = None
    required: bool = False
    # Whether a route keeps its answers.
    cached: bool = False
    # Whether a route sends it copies.
    mirrors: bool = False
    # The provider that it is of, whose API it speaks: the word of the configuration; empty: none.
    api: str = ""
    # Whether models are called there by another host than the client's, of which it is not told.
    hides_host: bool = False
    # Who tells the endpoints, where the configuration does not.
    kubernetes: KubernetesService | None = None

    @property
    def resolved(self) -> bool:
        """Whether every endpoint is an IP address, or will be, so that nothing is left to DNS."""
        return all(is_ip_address(endpoint.host) for endpoint in self.endpoints)

    @property
    def trusts_the_system(self) -> bool:
        """Whether its certificate is verified by the authorities of the system."""
        return self.tls is not None and self.tls.verify and self.tls.ca is None


def is_ip_address(host: str) -> bool:
    """Whether the host needs no DNS."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
