"""The intermediate representation: what the gateway does, free of YAML and of wire formats.

Everything is frozen, references are resolved, defaults are filled in, and routes stand in the order in which they are
tried.
"""

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address


@dataclass(frozen=True)
class Secret:
    """Bytes that never show in a repr, a log or a diff."""

    _value: bytes

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True)
class Address:
    """A host, by IP address or DNS name, and a port."""

    host: str
    port: int


@dataclass(frozen=True)
class Listener:
    """Where clients connect."""

    name: str
    address: Address


@dataclass(frozen=True)
class Upstream:
    """A service behind the gateway; times in seconds."""

    name: str
    endpoints: tuple[Address, ...]
    connect_timeout: float

    @property
    def resolved(self) -> bool:
        """Whether every endpoint is an IP address, so that nothing is left to DNS."""
        return all(is_ip_address(endpoint.host) for endpoint in self.endpoints)


@dataclass(frozen=True)
class Demand:
    """What a route asks of the caller: any of the credentials, all of the scopes, any of the roles.

    `profile` names the demand by its content: equal demands are one profile, and a request that was authorized under
    one profile may not be served by a route of another.
    """

    profile: str
    accept: tuple[str, ...]
    scopes: tuple[str, ...]
    roles: tuple[str, ...]


class Dimension(Enum):
    """What a limit counts apart; the value is the word of the configuration."""

    SUBJECT = "subject"
    TENANT = "tenant"
    CONSUMER = "consumer"
    IP = "ip"
    ROUTE = "route"


@dataclass(frozen=True)
class Limit:
    """Never more than `requests` in any `period` seconds, for each value of the dimensions."""

    id: str
    requests: int
    period: int
    per: tuple[Dimension, ...]


@dataclass(frozen=True)
class PathMatch:
    """An exact path, or a prefix that ends at a path segment: `/api` takes `/api` and `/api/x`, not `/apix`."""

    path: str
    exact: bool


@dataclass(frozen=True)
class Timeouts:
    """Seconds. `total` bounds the whole answer, `first_byte` its start; None: unbounded."""

    total: float | None
    first_byte: float | None
    idle: float
    max_duration: float | None


@dataclass(frozen=True)
class Route:
    """Requests that match, what they must show, how often they may come, and where they go."""

    name: str
    path: PathMatch
    methods: tuple[str, ...]
    hosts: tuple[str, ...]
    upstream: str
    rewrite: str | None
    demand: Demand | None
    limits: tuple[Limit, ...]
    asks_limiter: bool
    timeouts: Timeouts
    websocket: bool
    body_limit: int


@dataclass(frozen=True)
class Claims:
    """Names of the claims that carry the identity; None: not read."""

    subject: str
    tenant: str | None
    consumer: str | None
    plan: str | None
    scopes: str
    roles: str


@dataclass(frozen=True)
class JwtIssuer:
    """An accepted issuer; exactly one of `secret` and `jwks` (JSON text) is set. Times in seconds."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    secret: Secret | None
    jwks: str | None
    claims: Claims
    leeway: int
    max_lifetime: int | None
    forward: bool


@dataclass(frozen=True)
class BearerToken:
    """A shared secret, kept as its SHA-256, and the identity it stands for."""

    name: str
    sha256: bytes
    subject: str
    tenant: str | None
    consumer: str | None
    plan: str | None
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    forward: bool


@dataclass(frozen=True)
class Plan:
    """A class of consumers and its limits."""

    name: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True)
class Consumer:
    """A declared person or system."""

    name: str
    tenant: str | None
    plan: str | None


@dataclass(frozen=True)
class Gateway:
    """A whole gateway. Routes stand most specific first; everything else is sorted by name."""

    listeners: tuple[Listener, ...]
    upstreams: tuple[Upstream, ...]
    routes: tuple[Route, ...]
    jwt: tuple[JwtIssuer, ...]
    bearer_tokens: tuple[BearerToken, ...]
    plans: tuple[Plan, ...]
    consumers: tuple[Consumer, ...]
    default_plan: str | None


def is_ip_address(host: str) -> bool:
    """Whether the host needs no DNS."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
