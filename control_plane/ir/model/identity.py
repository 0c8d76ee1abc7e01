"""Who calls: demands of routes, credentials, and declared consumers."""

from dataclasses import dataclass

from control_plane.ir.model.limits import OwnRules
from control_plane.ir.model.secret import Secret


@dataclass(frozen=True)
class Demand:
    """What a route asks of the caller: any of the credentials, all of the scopes, any of the roles, any of the plans.

    With `report`, who lacks scopes, roles or plan is reported and not refused.

    `profile` names the demand by its content: equal demands are one profile, and a request that was authorized under
    one profile may not be served by a route of another.
    """

    profile: str
    accept: tuple[str, ...]
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    plans: tuple[str, ...] = ()
    report: bool = False


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
    """An accepted issuer; exactly one of `secret` and `jwks` (JSON text) is set. Times in seconds.

    Of an issuer whose keys are `fetched`, none may be there yet: its tokens are then neither accepted nor refused.
    """

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
    fetched: bool = False
    type: str | None = None
    # Whether Envoy judges its tokens itself, where it can.
    native: bool = False


@dataclass(frozen=True)
class NativeIssuer:
    """An issuer whose tokens Envoy judges: its mark (see `ir.native`), and the claims with permissions.

    `kept` is where Envoy keeps what its tokens say.
    """

    mark: str
    kept: str
    scopes: str
    roles: str
    plan: str | None


@dataclass(frozen=True)
class Native:
    """Envoy judges tokens of these issuers itself; `forward`: the upstream receives them."""

    issuers: tuple[NativeIssuer, ...]
    default_plan: str | None
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
class ApiKeys:
    """Where requests carry API keys; without a `pepper`, theirs is the one of the state directory."""

    headers: tuple[str, ...]
    query: str | None
    cookie: str | None
    pepper: Secret | None
    forward: bool
    # A key that is used from elsewhere than it may be is reported and not refused.
    report_addresses: bool = False


@dataclass(frozen=True)
class Tokens:
    """The tokens that the gateway issues, and the names of the listeners that have its endpoints; in seconds."""

    issuer: str
    audiences: tuple[str, ...]
    lifetime: int
    listeners: tuple[str, ...]
    # Whether Envoy judges them itself, where it can.
    native: bool = False


@dataclass(frozen=True)
class MtlsClient:
    """Whom certificates with this name, or names of this pattern, stand for."""

    name: str
    tenant: str | None
    consumer: str | None
    plan: str | None
    scopes: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Mtls:
    """Clients by name; `subject` is the word of the configuration for which name of a certificate counts."""

    subject: str
    clients: tuple[MtlsClient, ...]


@dataclass(frozen=True)
class ApiKey:
    """A declared key by its hash. No `allow_ips`: from anywhere; `expires` in seconds since the epoch."""

    id: str
    hash: bytes
    consumer: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    plan: str | None
    allow_ips: tuple[str, ...]
    expires: int | None
    # Patterns of the language models that it may call; None: all that its plan may.
    models: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Consumer:
    """A declared person or system; `own` are rules in place of its plan's."""

    name: str
    tenant: str | None
    plan: str | None
    own: OwnRules | None = None
