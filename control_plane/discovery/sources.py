"""Whose models are asked for, where, and as whom."""

from dataclasses import dataclass

from control_plane.checked import Checked
from control_plane.config.model import HOST_WORDS
from control_plane.config.values.network import UpstreamAddress
from control_plane.ir.model import Credential, UpstreamTls

# A provider's paths begin with it; where an upstream's URL has a path, that stands in its place.
OPENAI_PATH = "/v1"


@dataclass(frozen=True)
class ModelSource:
    """An upstream whose models are asked for.

    `tls` is that of its https endpoints, `system_ca` what they are verified by where they name no authorities; `host`
    is what they are told as Host, else their own. Times are in seconds.
    """

    upstream: str
    provider: str
    addresses: tuple[UpstreamAddress, ...]
    refresh: float
    grace: float
    connect_timeout: float
    tls: UpstreamTls | None = None
    system_ca: str = ""
    host: str | None = None
    credential: Credential | None = None
    required: bool = False

    @property
    def name(self) -> str:
        """What is found is kept under it: models of one place are not those of another."""
        return f"models of {self.upstream} ({self.provider}) at {' '.join(map(str, self.addresses))}"


def model_sources(checked: Checked) -> tuple[ModelSource, ...]:
    """The upstreams that the configuration discovers models at."""
    config, discovery = checked.loaded.config, checked.loaded.config.discovery
    if discovery is None:
        return ()
    upstreams = {item.name: item for item in checked.gateway.upstreams}
    return tuple(
        ModelSource(
            upstream=name,
            provider=written.api or "",
            addresses=written.addresses,
            refresh=discovery.refresh,
            grace=discovery.grace,
            connect_timeout=meant.connect_timeout,
            tls=meant.tls,
            system_ca=checked.gateway.system_ca if meant.trusts_the_system else "",
            host=None if written.host_header in (None, *HOST_WORDS) else written.host_header,
            credential=meant.credential,
            required=meant.required,
        )
        for name in discovery.upstreams
        if (written := config.upstreams[name]) and (meant := upstreams[name])
    )


def url_at(address: UpstreamAddress, path: str) -> str:
    """The URL of a provider's path at an endpoint."""
    if address.path and path.startswith(f"{OPENAI_PATH}/"):
        return f"{address}{path.removeprefix(OPENAI_PATH)}"
    return str(address).removesuffix(address.path) + address.path.removesuffix(OPENAI_PATH) + path
