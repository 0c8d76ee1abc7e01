"""The intermediate representation: what the gateway does, free of YAML and of wire formats.

Everything is frozen, references are resolved, defaults are filled in, and routes stand in the order in which they are
tried.
"""

from control_plane.ir.model.gateway import (
    Gateway,
)
from control_plane.ir.model.identity import (
    BearerToken,
    Claims,
    Consumer,
    Demand,
    JwtIssuer,
)
from control_plane.ir.model.limits import (
    Dimension,
    Limit,
    Plan,
)
from control_plane.ir.model.listeners import (
    ClientCertificates,
    Listener,
    ListenerTls,
)
from control_plane.ir.model.routes import (
    NO_CHANGES,
    Condition,
    Destination,
    DirectResponse,
    Forward,
    HeaderChanges,
    Mirror,
    PathKind,
    PathMatch,
    Redirect,
    Retries,
    Rewrite,
    Route,
    TestKind,
    Timeouts,
)
from control_plane.ir.model.secret import (
    Secret,
)
from control_plane.ir.model.shaping import (
    AdaptiveConcurrency,
    Bandwidth,
    Cors,
    Fault,
)
from control_plane.ir.model.upstreams import (
    Address,
    Balancing,
    CircuitBreaker,
    Credential,
    GrpcCheck,
    HealthCheck,
    HttpCheck,
    Identification,
    KubernetesService,
    OutlierDetection,
    Protocol,
    TcpCheck,
    Upstream,
    UpstreamTls,
    is_ip_address,
)

__all__ = [
    "NO_CHANGES",
    "AdaptiveConcurrency",
    "Address",
    "Balancing",
    "Bandwidth",
    "BearerToken",
    "CircuitBreaker",
    "Claims",
    "ClientCertificates",
    "Condition",
    "Consumer",
    "Cors",
    "Credential",
    "Demand",
    "Destination",
    "Dimension",
    "DirectResponse",
    "Fault",
    "Forward",
    "Gateway",
    "GrpcCheck",
    "HeaderChanges",
    "HealthCheck",
    "HttpCheck",
    "Identification",
    "JwtIssuer",
    "KubernetesService",
    "Limit",
    "Listener",
    "ListenerTls",
    "Mirror",
    "OutlierDetection",
    "PathKind",
    "PathMatch",
    "Plan",
    "Protocol",
    "Redirect",
    "Retries",
    "Rewrite",
    "Route",
    "Secret",
    "TcpCheck",
    "TestKind",
    "Timeouts",
    "Upstream",
    "UpstreamTls",
    "is_ip_address",
]
