"""What Envoy must know that the configuration language does not say: where our own processes listen."""

from dataclasses import dataclass

from service_kit.endpoint import Endpoint


@dataclass(frozen=True)
class Wiring:
    """Addresses of the services as Envoy reaches them, and the file of the access log."""

    authz: Endpoint
    ratelimit: Endpoint
    access_log: str
