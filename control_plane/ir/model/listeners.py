"""Where clients connect, and how their connections are read."""

from dataclasses import dataclass

from control_plane.ir.model.upstreams import Address, Identification


@dataclass(frozen=True)
class ClientCertificates:
    """Who signs the certificates of clients, as PEM, and whether a client needs one."""

    authorities: str
    required: bool


@dataclass(frozen=True)
class ListenerTls:
    """How TLS with clients is spoken; without `clients`, none is asked for a certificate."""

    identification: Identification
    minimum_version: str
    clients: ClientCertificates | None = None


@dataclass(frozen=True)
class Listener:
    """Where clients connect. `https_redirect` is the port that every request is sent to; routes are not served then.

    `groups` are those of the Envoys that open it, all where there are none.
    """

    name: str
    address: Address
    tls: ListenerTls | None = None
    http3: bool = False
    https_redirect: int | None = None
    trusted_proxies: tuple[str, ...] = ()
    compression: tuple[str, ...] = ()
    max_connections: int | None = None
    groups: frozenset[str] = frozenset()
