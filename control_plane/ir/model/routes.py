"""Requests, who may make them, and where they go."""

from dataclasses import dataclass
from enum import Enum

from control_plane.ir.model.identity import Demand, Native
from control_plane.ir.model.limits import Limit
from control_plane.ir.model.llm import Asked, ModelCall
from control_plane.ir.model.metering import Metering
from control_plane.ir.model.shaping import AdaptiveConcurrency, Bandwidth, Cors, Fault


class PathKind(Enum):
    """How a path is matched, the most specific kind first."""

    EXACT = "exact"
    # `/users/{id}`: a variable takes one whole segment, and not an empty one.
    TEMPLATE = "template"
    # An expression that the whole path must match.
    REGEX = "regex"
    # Ends at a path segment: `/api` takes `/api` and `/api/x`, not `/apix`. May hold variables, too.
    PREFIX = "prefix"


@dataclass(frozen=True)
class PathMatch:
    """A path, template, prefix (without its `/*`; `/` takes everything) or regular expression."""

    text: str
    kind: PathKind

    @property
    def segments(self) -> tuple[str | None, ...]:
        """Of a path that is no regular expression; None stands for a variable."""
        parts = self.text.split("/")[1:] if self.text != "/" else ()
        return tuple(None if part.startswith("{") else part for part in parts)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, in order."""
        if self.kind is PathKind.REGEX:
            return ()
        return tuple(part[1:-1] for part in self.text.split("/") if part.startswith("{"))


class TestKind(Enum):
    """How a value is tested."""

    __test__ = False  # no test of pytest's

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    REGEX = "regex"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True)
class Condition:
    """A test of the header or query parameter of this name; `value` is empty where only presence is asked."""

    name: str
    kind: TestKind
    value: str = ""


@dataclass(frozen=True)
class Timeouts:
    """Seconds. `total` bounds the whole answer, `first_byte` its start; None: unbounded."""

    total: float | None
    first_byte: float | None
    idle: float
    max_duration: float | None


@dataclass(frozen=True)
class Destination:
    """An upstream and its share of a route's requests, relative to the sum of all.

    `host` is the Host header that it gets: None for the client's, "upstream" for the endpoint's own, else this name.
    """

    upstream: str
    weight: int = 1
    host: str | None = None


@dataclass(frozen=True)
class Rewrite:
    r"""What becomes of the path.

    `path` replaces the matched path or prefix, and holds the variables of the match as `{name}`; where `pattern` is
    set, each match of it becomes `path`, in which `\1` is a group. `base` is put before the result.
    """

    path: str | None = None
    pattern: str | None = None
    base: str = ""


@dataclass(frozen=True)
class Mirror:
    """Copies of requests; `percent` of them, for this Host where it is not the one of the request."""

    upstream: str
    percent: float
    host: str | None = None


@dataclass(frozen=True)
class Retries:
    """Tries after the first; times in seconds. `on` holds the words of the configuration, `statuses` the numbers."""

    attempts: int
    on: tuple[str, ...]
    statuses: tuple[int, ...]
    methods: tuple[str, ...]
    per_try_timeout: float | None
    backoff: float
    max_backoff: float


@dataclass(frozen=True)
class Forward:
    """Sends requests to upstreams."""

    destinations: tuple[Destination, ...]
    timeouts: Timeouts
    rewrite: Rewrite = Rewrite()
    # Who is asked, group after group, when the destinations fail before the first byte of an answer.
    fallback: tuple[tuple[Destination, ...], ...] = ()
    mirror: Mirror | None = None
    retries: Retries | None = None
    websocket: bool = False
    # A stream of messages each way, whose sum is the size of nothing.
    endless_requests: bool = False
    # What tells endpoints apart, as the configuration says it: `ip`, `subject`, `header NAME`, `cookie NAME`.
    hash_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Redirect:
    """Answers with another address; None keeps what the client used."""

    path: str | None
    scheme: str | None
    host: str | None
    port: int | None
    status: int
    strip_query: bool


@dataclass(frozen=True)
class DirectResponse:
    """Answered by the gateway itself."""

    status: int
    body: str
    content_type: str


@dataclass(frozen=True)
class HeaderChanges:
    """`remove` first, then `set` and `add`; each sorted by name."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


NO_CHANGES = HeaderChanges()


@dataclass(frozen=True)
class Route:
    """Requests that match, what they must show, how often they may come, and who answers."""

    name: str
    path: PathMatch
    action: Forward | Redirect | DirectResponse
    body_limit: int
    methods: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    headers: tuple[Condition, ...] = ()
    query: tuple[Condition, ...] = ()
    priority: int = 0
    demand: Demand | None = None
    # Whose tokens Envoy judges itself; None where the authorizer is asked about all requests.
    native: Native | None = None
    allow_ips: tuple[str, ...] = ()
    # No request passes on: the companion of a route with rules for pages, whose preflights are answered before.
    nobody: bool = False
    limits: tuple[Limit, ...] = ()
    # No rule of a plan, consumer or tenant counts its calls.
    exempt: bool = False
    # Whether rules may apply, its own or a caller's: those of the fleet, and those that each Envoy keeps.
    asks_limiter: bool = False
    limited_here: bool = False
    # Whether a call takes something that its end gives back or corrects: it is metered, or calls under way are counted.
    holds: bool = False
    cost: int = 1
    # As what the limiter and the ledger know it, with others; empty: by its name.
    counted_as: str = ""
    # What a call counts as, beside "requests"; empty: nothing else.
    usage: str = ""
    # None: nobody counts its tokens.
    tokens: Metering | None = None
    # What the body must name; None: the body is not asked.
    asked: Asked | None = None
    # Whose plan a caller must have for the route to take the request, which Envoy chooses anew when it knows. None:
    # any. An empty one takes whom no other of its group does, and everybody before it is known who calls.
    of_plans: tuple[str, ...] | None = None
    # None: no call of a language model.
    model: ModelCall | None = None
    request_headers: HeaderChanges = NO_CHANGES
    response_headers: HeaderChanges = NO_CHANGES
    # A JSON object that is merged into the request's; empty text: the body passes untouched.
    body_merge: str = ""
    cors: Cors | None = None
    bandwidth: Bandwidth | None = None
    fault: Fault | None = None
    adaptive_concurrency: AdaptiveConcurrency | None = None
    cached: bool = False

    @property
    def known_as(self) -> str:
        """Its name to the limiter and the ledger: the routes of a model are one to them."""
        return self.counted_as or self.name

    @property
    def forward(self) -> Forward | None:
        """Where requests go; None where the gateway answers itself."""
        return self.action if isinstance(self.action, Forward) else None

    @property
    def websocket(self) -> bool:
        return self.forward is not None and self.forward.websocket

    @property
    def bounded(self) -> bool:
        """Whether `body_limit` holds: what crosses an upgraded connection or an endless request has no size."""
        return self.forward is None or not (self.forward.websocket or self.forward.endless_requests)
