"""What Envoy must know that the configuration language does not say: where our own processes listen."""

from dataclasses import dataclass

from service_kit.endpoint import Endpoint
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
