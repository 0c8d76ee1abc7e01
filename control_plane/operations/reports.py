"""What operators ask of a running control plane, and the answers as plain data: one shape for gRPC, HTTP and the CLI.

The JSON of an answer is that of its message in protos/tollgate/admin/v1; times are seconds since the epoch.

Errors: CannotRollBack <- NoSuchEntry
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Protocol, TypeVar

from pydantic import TypeAdapter

from control_plane.server.status import NodeStatus
from service_kit.contract import ENVOY_NODE_CLUSTER, TYPE_PREFIX

# The gRPC service, and the metadata that carries the admin token.
SERVICE: Final = "tollgate.admin.v1.ControlPlaneAdmin"
AUTHORIZATION: Final = "authorization"

T = TypeVar("T")


@dataclass(frozen=True)
class HeldBack:
    """A part of the configuration that is not live because Envoys refused it; its last good version is, if any."""

    kind: str
    name: str
    place: str  # file:line:column
    reason: str


@dataclass(frozen=True)
class Pinned:
    """A rollback: entry `number` is live until the file's content changes again."""

    number: int
    since: float


@dataclass(frozen=True)
class ConfigurationReport:
    """What is live, what is wrong with the file, and why the two may differ."""

    source: str
    live_since: float
    digest: str = ""
    number: int | None = None  # in the history
    errors: tuple[str, ...] = ()
    held_back: tuple[HeldBack, ...] = ()
    rolled_back: Pinned | None = None
    # Why what is live comes from the history although nobody rolled back: the file was broken at the start.
    restored: str = ""


@dataclass(frozen=True)
class RefusalReport:
    """The last push that a node refused; `names` are the resources that were new or different in it."""

    version: str
    message: str
    at: float
    nonce: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TypeReport:
    """One type of resource at one node: the versions sent and ACKed, and whether it runs what it is to run."""

    sent: str
    acked: str
    settled: bool
    since: float
    refusal: RefusalReport | None = None


@dataclass(frozen=True)
class NodeReport:
    """One connected Envoy or service."""

    node: str
    cluster: str
    protocol: str
    connected_at: float
    converged: bool
    group: str = ""
    user_agent: str = ""
    types: Mapping[str, TypeReport] = field(default_factory=dict)


@dataclass(frozen=True)
class IdentitiesReport:
    """What is stored of keys and consumers, and where; `trouble` says why it can be neither read nor changed now."""

    store: str
    consumers: int = 0
    keys: int = 0
    trouble: str = ""


@dataclass(frozen=True)
class BackendReport:
    """An upstream that is asked which models it has: since when it stands so, why, and how many are there of it."""

    upstream: str
    provider: str
    state: str
    since: float
    reason: str = ""
    models: int = 0
    answered: float | None = None
    required: bool = False


@dataclass(frozen=True)
class ModelCounts:
    """How many language models there are."""

    written: int = 0
    discovered: int = 0
    withdrawn: int = 0


@dataclass(frozen=True)
class StatusReport:
    """Everything at once; `problems` is empty where all is as it should be."""

    configuration: ConfigurationReport
    nodes: tuple[NodeReport, ...]
    problems: tuple[str, ...] = ()
    identities: IdentitiesReport | None = None
    models: ModelCounts | None = None
    backends: tuple[BackendReport, ...] = ()


@dataclass(frozen=True)
class NodeResult:
    """What a node said to a configuration."""

    accepted: bool
    reason: str = ""


@dataclass(frozen=True)
class HistoryEntry:
    """A configuration that was accepted once."""

    number: int
    at: float
    digest: str
    source: str
    result: str
    held: tuple[str, ...] = ()
    nodes: Mapping[str, NodeResult] = field(default_factory=dict)
    live: bool = False
    rolled_back_to: bool = False


@dataclass(frozen=True)
class HistoryReport:
    """The newest entries, the newest first; `unavailable` says why there are none to show."""

    entries: tuple[HistoryEntry, ...]
    unavailable: str = ""


@dataclass(frozen=True)
class RollbackResult:
    """What is live now, by its own number in the history; where it is `held`, until the file changes."""

    number: int | None = None
    digest: str = ""
    held: bool = False
    errors: tuple[str, ...] = ()  # what is wrong with the file, where a release found it broken


@dataclass(frozen=True)
class Element:
    """A named part of a configuration in the words of its author.

    `keys` are those that differ from their defaults, by path, as they would be written; a secret is a keyed hash.
    `uses` are the elements and keys it depends on; `where` says whom it concerns: hosts and paths, or a tenant.
    """

    keys: Mapping[str, str]
    uses: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResourceVersion:
    """What is served under a name, and to which groups of nodes; to all where there are none."""

    version: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServedType:
    """The resources of a type, by name."""

    resources: Mapping[str, ResourceVersion]


@dataclass(frozen=True)
class WiringReport:
    """What resources depend on beside the configuration, so that another process compiles the same ones."""

    authz: str
    ratelimit: str
    access_log: str
    tls_certificate: str = ""
    tls_private_key: str = ""
    tls_authority: str = ""
    oauth: str = ""
    usage: str = ""
    translator: str = ""


@dataclass(frozen=True)
class Running:
    """What a difference is taken from: the live configuration in words and in resources, and who runs it."""

    elements: Mapping[str, Element]
    types: Mapping[str, ServedType]
    wiring: WiringReport
    nodes: tuple[NodeReport, ...] = ()
    key_sets: Mapping[str, str] = field(default_factory=dict)  # public keys of issuers, as they were fetched
    models: Mapping[str, str] = field(default_factory=dict)  # those that upstreams list, as they were found


class Operations(Protocol):
    """What the faces ask of the control plane."""

    def status(self) -> StatusReport: ...

    async def history(self, limit: int) -> HistoryReport:
        """The newest entries, the newest first; `limit` at most."""
        ...

    async def rollback(self, number: int | None) -> RollbackResult:
        """Makes an entry of the history live until the file changes; without one, the file. CannotRollBack."""
        ...

    async def running(self, key: bytes) -> Running:
        """What is live, secrets hashed with this key (control_plane.operations.described.running makes it)."""
        ...


def status_report(
    configuration: ConfigurationReport,
    nodes: Iterable[NodeReport],
    others: Iterable[str] = (),
    identities: IdentitiesReport | None = None,
) -> StatusReport:
    """The report, with all that is not as it should be said in sentences; `others` are more of these."""
    connected = tuple(nodes)
    problems = (
        *_of_configuration(configuration),
        *others,
        *_of_identities(identities),
        *_of_fleet(connected),
        *_of_nodes(connected),
    )
    return StatusReport(configuration, connected, problems, identities)


def node_reports(statuses: Iterable[NodeStatus]) -> tuple[NodeReport, ...]:
    """The connected consumers; the streams of a node that has one for each type are one report."""
    nodes: dict[tuple[str, str, str], list[NodeReport]] = {}
    for status in statuses:
        report = from_json(NodeReport, status.as_dict())
        streams = nodes.setdefault((report.cluster, report.node, report.group), [])
        # a node that is connected twice asks twice for the same type
        beside = (index for index, other in enumerate(streams) if report.types.keys().isdisjoint(other.types))
        at = next(beside, len(streams))
        streams[at : at + 1] = [_joined(streams[at], report) if at < len(streams) else report]
    return tuple(report for streams in nodes.values() for report in streams)


def _joined(one: NodeReport, other: NodeReport) -> NodeReport:
    return replace(
        one,
        connected_at=min(one.connected_at, other.connected_at),
        converged=one.converged and other.converged,
        types={**one.types, **other.types},
    )


def _of_configuration(found: ConfigurationReport) -> Iterator[str]:
    if found.rolled_back is not None:
        yield f"rolled back to {found.rolled_back.number}: changes of the file before the next one are not live"
    if found.restored:
        yield f"started from the history, the file is broken: {found.restored}"
    yield from found.errors
    for item in found.held_back:
        yield f"{item.place}: {item.kind} {item.name} is held back: {item.reason}"


def _of_identities(found: IdentitiesReport | None) -> Iterator[str]:
    if found is not None and found.trouble:
        yield f"stored keys can be neither read nor changed, services go by what they were told last: {found.trouble}"


def _of_fleet(nodes: tuple[NodeReport, ...]) -> Iterator[str]:
    if not any(node.cluster == ENVOY_NODE_CLUSTER for node in nodes):
        yield "no Envoy is connected"


def _of_nodes(nodes: tuple[NodeReport, ...]) -> Iterator[str]:
    for node in nodes:
        for type_url, held in node.types.items():
            if held.refusal is not None:
                yield f"{node.node} refuses {short_type(type_url)} {held.refusal.version}: {held.refusal.message}"
            elif not held.settled:
                yield f"{node.node} has not answered for {short_type(type_url)} {held.sent}".rstrip()


def short_type(type_url: str) -> str:
    """The message's own name: `Cluster`."""
    return type_url.removeprefix(TYPE_PREFIX).rpartition(".")[2]


def as_json(report: object) -> dict[str, Any]:  # Any: JSON of any shape
    """A report as JSON types."""
    shape: Any = type(report)  # Any: mypy takes a type for something that cannot be hashed
    data: dict[str, Any] = _adapter(shape).dump_python(report, mode="json")
    return data


def from_json(shape: type[T], data: Mapping[str, Any]) -> T:  # Any: JSON of any shape
    """The report of this shape that the JSON says; what it says beyond that is left out."""
    hashable: Any = shape  # Any: mypy takes a type for something that cannot be hashed
    found: T = _adapter(hashable).validate_python(dict(data))
    return found


@cache
def _adapter(shape: type[Any]) -> TypeAdapter[Any]:  # Any: adapters of many shapes in one place
    return TypeAdapter(shape)
