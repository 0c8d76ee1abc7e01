"""What a client and the server say to each other about one type: requests, pushes, and verdicts on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from control_plane.snapshot import Named, Resource

WILDCARD = "*"

# Versions by resource name; None: the resource does not exist.
Versions = Mapping[str, str | None]


@dataclass(frozen=True)
class SotwRequest:
    """A DiscoveryRequest: its names replace the earlier ones. `error` is the reason of a NACK, and there only."""

    names: tuple[str, ...] = ()
    version: str = ""
    nonce: str = ""
    error: str | None = None

    @property
    def resumes(self) -> bool:
        """Whether, on a new stream, the client has something of an earlier one."""
        return bool(self.version)

    @property
    def mentioned(self) -> Iterable[str]:
        """Every name and version in it."""
        return (*self.names, self.version)


@dataclass(frozen=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest: its names change the earlier ones."""

    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None

    @property
    def resumes(self) -> bool:
        """Whether, on a new stream, the client has something of an earlier one."""
        return bool(self.initial_versions)

    @property
    def mentioned(self) -> Iterable[str]:
        """Every name and version in it."""
        return (*self.subscribe, *self.unsubscribe, *self.initial_versions, *self.initial_versions.values())


@dataclass(frozen=True)
class Push:
    """A response to send; `version` is that of the whole type.

    `lifetimes`: the client can read them. `heartbeat`: it confirms what the client has, and nothing in it is new.
    """

    type_url: str
    version: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()
    lifetimes: bool = False
    heartbeat: bool = False


@dataclass(frozen=True)
class Flight:
    """A push whose verdict is not in yet: what it tells the client, of which resources, and when it left."""

    push: Push
    told: Versions
    target: Named
    sent_at: float


@dataclass(frozen=True)
class Ack:
    """The client runs this push."""

    push: Push
    seconds: float


@dataclass(frozen=True)
class Nack:
    """The client refused this push and keeps what it had; `names` are what was new or different in it."""

    push: Push
    seconds: float
    message: str
    names: tuple[str, ...]


Verdict = Ack | Nack
