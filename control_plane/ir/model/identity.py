"""Who calls: demands of routes, credentials, and declared consumers."""

from dataclasses import dataclass

from control_plane.ir.model.secret import Secret


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
class Consumer:
    """A declared person or system."""

    name: str
    tenant: str | None
    plan: str | None
