"""What must be known that the configuration language does not say: where our own processes listen."""

from collections.abc import Callable
from dataclasses import dataclass

from control_plane.ir.model import Secret
from service_kit.endpoint import Endpoint, TcpEndpoint, UnixEndpoint
from service_kit.settings import TlsFiles


@dataclass(frozen=True)
class Wiring:
    """Addresses of the services as Envoy reaches them, and the file of the access log.

    `tls` names files where Envoy runs: requests carry credentials, so a service on TCP is reached by mutual TLS.
    """

    authz: Endpoint
    ratelimit: Endpoint
    access_log: str
    tls: TlsFiles | None = None
    # Where the authorizer issues tokens; None where it does not.
    oauth: UnixEndpoint | None = None
    # Where the ledger tells consumers what they used; None where nobody does.
    usage: UnixEndpoint | None = None
    # Who translates between APIs of language models; None where nobody does.
    translator: Endpoint | None = None
    # Of API keys, where the configuration names none; read when it is needed.
    key_pepper: Callable[[], Secret] | None = None

    @property
    def followed(self) -> TlsFiles | None:
        """The files that Envoy needs for the services: none where all are on Unix sockets."""
        services = (self.authz, self.ratelimit, self.translator)
        over_tcp = any(isinstance(endpoint, TcpEndpoint) for endpoint in services)
        return self.tls if over_tcp else None
