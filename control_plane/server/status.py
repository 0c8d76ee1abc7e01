"""What each consumer runs: per stream and type the version sent, the version ACKed, and the last refusal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum

from control_plane.server.types import BESIDE_TYPES


@dataclass(frozen=True)
class Refusal:
    """A NACK as it is shown: which push, why, when (seconds since the epoch).

    `names` are the resources that were new or different in the refused push.
    """

    type_url: str
    version: str
    nonce: str
    message: str
    at: float
    names: tuple[str, ...]


@dataclass(frozen=True)
class NodeVerdict:
    """What one connected node says of what it was sent: whether it has judged it all, and what it refuses."""

    cluster: str
    node: str
    group: str
    settled: bool
    refusals: tuple[Refusal, ...]

    @property
    def accepts(self) -> bool:
        return self.settled and not self.refusals


class ResourceState(Enum):
    """How a consumer stands to a resource that it wants and that is there for it."""

    SYNCED = "synced"  # it ACKed this version
    NOT_SENT = "not sent"
    STALE = "stale"  # it was sent this version and has not answered, or it has an older one
    REFUSED = "refused"


@dataclass(frozen=True)
class TypeStatus:
    """One type on one stream; `refusal` is None once a later push was ACKed."""

    sent: str
    acked: str
    refusal: Refusal | None
    settled: bool
    since: float


@dataclass(frozen=True)
class NodeStatus:
    """One stream: a node that is connected twice has two."""

    node: str
    cluster: str
    protocol: str
    connected_at: float
    types: Mapping[str, TypeStatus]
    group: str = ""
    user_agent: str = ""

    @property
    def settled(self) -> bool:
        """Whether every push was judged and nothing is waiting to be pushed."""
        return all(status.settled for status in self.types.values())

    @property
    def converged(self) -> bool:
        """Whether the node runs what the control plane wants it to."""
        return self.settled and not any(status.refusal for status in self.types.values())

    @property
    def runs_configuration(self) -> bool:
        """The same of what comes of the configuration, whatever becomes of what is served beside it."""
        of_configuration = (status for type_url, status in self.types.items() if type_url not in BESIDE_TYPES)
        return all(status.settled and status.refusal is None for status in of_configuration)

    def as_dict(self) -> dict[str, object]:
        """The status as JSON types, with types by URL."""
        return {**asdict(self), "converged": self.converged}
