"""The 75 statements that a server of the xDS protocol can be tested by, as data.

Tests carry the number in their names. docs/xds-conformance.md and the table of `make conformance` are made from this.
SPEC is Envoy's description of the protocol; A and a number is a gRPC proposal.
"""

from dataclasses import dataclass
from typing import Final

SOTW: Final = "sotw"
DELTA: Final = "delta"
BOTH: Final = (SOTW, DELTA)
ONLY_SOTW: Final = (SOTW,)
ONLY_DELTA: Final = (DELTA,)


@dataclass(frozen=True)
class Statement:
    """What must be true in these protocols. Where it is optional, `decision` says what we made of it.

    `note` is a sentence more for the reader.
    """

    number: int
    protocols: tuple[str, ...]
    text: str
    source: str = ""
    decision: str = ""
    note: str = ""

    @property
    def mandatory(self) -> bool:
        return not self.decision

    @property
    def protocol(self) -> str:
        """The protocols as a reader calls them."""
        return {BOTH: "both", ONLY_SOTW: "SotW", ONLY_DELTA: "delta"}[self.protocols]


@dataclass(frozen=True)
class Chapter:
    """Statements about one thing."""

    title: str
    statements: tuple[Statement, ...]


CHAPTERS: Final = (
    Chapter(
        "The stream and its node",
        (
            Statement(
                1,
                BOTH,
                "Only the first request of a stream states the node; later ones are taken to be from it.",
                "SPEC",
            ),
            Statement(2, BOTH, "A first request without `node.id` ends the stream with INVALID_ARGUMENT."),
            Statement(3, BOTH, "So does a request on ADS without a type."),
            Statement(4, BOTH, "Services of a single type know their type; every response states it."),
            Statement(5, BOTH, "A type that nobody knows neither ends the stream nor starves another."),
            Statement(6, BOTH, "What is asked of one type leaves the others of the stream alone.", "SPEC"),
            Statement(7, BOTH, "Two streams of one node share neither nonces nor subscriptions."),
            Statement(8, BOTH, "A stream that is cancelled or half-closed leaves no task, watch or queue behind."),
            Statement(9, BOTH, "A response that cannot be sent ends its own stream and no other."),
            Statement(
                10, BOTH, "A server that stops ends all streams at once, with a status that invites another try."
            ),
            Statement(11, BOTH, "A fault while a snapshot is made costs that snapshot, not the server."),
        ),
    ),
    Chapter(
        "Versions and nonces",
        (
            Statement(
                12, BOTH, "Every response has a nonce of its own, which means nothing on another stream.", "SPEC"
            ),
            Statement(
                13,
                BOTH,
                "Versions belong to content: equal on every stream, in every process, after every restart.",
                "SPEC",
            ),
            Statement(
                14, ONLY_SOTW, "A request with the last nonce and no error is an ACK, and is not answered.", "SPEC"
            ),
            Statement(15, BOTH, "Only an error makes a NACK, never a version or a nonce.", "SPEC"),
            Statement(16, BOTH, "Refused content is not sent again by itself; the next different one is."),
            Statement(17, BOTH, "A NACK is kept with reason, node, type, version, nonce and time, and can be read."),
            Statement(
                18, BOTH, "After a NACK the client runs what it had; the next good push is ACKed and clears the error."
            ),
            Statement(19, ONLY_SOTW, "A request with a stale nonce gets no response and undoes nothing newer.", "SPEC"),
            Statement(20, ONLY_DELTA, "The names in a request with a stale nonce count all the same.", "SPEC"),
            Statement(21, ONLY_SOTW, "A nonce of an earlier stream makes a first request, not a stale one."),
            Statement(
                22,
                ONLY_SOTW,
                "A client that comes back with a version is spared the resend only where that is safe.",
                "SPEC",
            ),
            Statement(23, ONLY_SOTW, "Names that change while a response is on its way are not lost."),
            Statement(
                24,
                ONLY_DELTA,
                "Every response has a nonce; a request that answers nothing has none, and is valid.",
                "SPEC",
            ),
        ),
    ),
    Chapter(
        "Subscriptions",
        (
            Statement(25, ONLY_SOTW, "A request replaces the earlier one of its type.", "SPEC"),
            Statement(26, ONLY_SOTW, "A newly named resource is sent, even in a version that was sent before.", "SPEC"),
            Statement(27, ONLY_SOTW, "A name that is dropped makes no response."),
            Statement(28, BOTH, "A name of nothing is remembered, and pushed once it is something.", "SPEC"),
            Statement(29, ONLY_DELTA, "A name of nothing is answered at once, as removed.", "SPEC"),
            Statement(
                30,
                BOTH,
                "Naming nothing in the first request for clusters or listeners means all, "
                "unless a name was ever given.",
                "SPEC",
            ),
            Statement(31, BOTH, "`*` means all, in the first request and in later ones.", "SPEC"),
            Statement(
                32, BOTH, "Nothing, then `*` and A, then A, then nothing: the last step leaves no subscription.", "SPEC"
            ),
            Statement(33, BOTH, "A name beside `*` counts even where `*` does not cover it.", "SPEC"),
            Statement(34, ONLY_DELTA, "A name that is dropped under `*` is answered in full, or as removed.", "SPEC"),
            Statement(35, ONLY_DELTA, "Dropping `*` keeps what is named; the rest goes without a word."),
            Statement(36, ONLY_DELTA, "A known name that is subscribed again is sent again.", "SPEC"),
            Statement(37, ONLY_DELTA, "Dropping a name that was never asked for changes nothing.", "SPEC"),
            Statement(
                38, BOTH, "No response holds a resource twice, and a name that is asked for twice does no harm.", "SPEC"
            ),
            Statement(39, ONLY_SOTW, "For endpoints, routes and secrets, naming nothing means nothing.", "SPEC"),
            Statement(40, ONLY_DELTA, "Names that come and go in one message have one result."),
            Statement(41, BOTH, "Nothing is sent that was not asked for."),
            Statement(
                42,
                BOTH,
                "Aliases of resources, for virtual hosts on demand.",
                "SPEC",
                decision="not offered: virtual hosts come with their routes, and responses carry no aliases",
            ),
            Statement(
                43,
                BOTH,
                "Collections by a pattern of names.",
                "SPEC",
                decision="not offered: a pattern is a name like any other, of nothing",
            ),
        ),
    ),
    Chapter(
        "Changes and removals",
        (
            Statement(44, ONLY_DELTA, "An update holds what changed and nothing else.", "SPEC"),
            Statement(45, ONLY_DELTA, "A resource that is gone is removed once.", "SPEC"),
            Statement(
                46,
                ONLY_DELTA,
                "A client that comes back with versions gets the difference: changed, new and removed; what routes"
                " refer to and is gone is removed 35 seconds later, when the routes of then are.",
                "SPEC",
            ),
            Statement(47, ONLY_DELTA, "Such versions count in the first message of a type only.", "SPEC"),
            Statement(48, ONLY_DELTA, "The first request for all is answered even if there is nothing."),
            Statement(49, ONLY_DELTA, "An Envoy that names resources beside `*` when it comes back still means all."),
            Statement(50, ONLY_SOTW, "For clusters and listeners absence deletes, and an empty list is sent.", "SPEC"),
            Statement(51, ONLY_SOTW, "For endpoints, routes and secrets absence deletes nothing.", "SPEC"),
            Statement(52, BOTH, "A snapshot that becomes empty hurts no open subscription."),
            Statement(53, BOTH, "No response mixes two snapshots."),
        ),
    ),
    Chapter(
        "Order and warming",
        (
            Statement(
                54,
                BOTH,
                "One change goes out as secrets, clusters, endpoints, listeners, routes; "
                "clusters that nobody needs any more leave last.",
                "SPEC",
                note="Virtual hosts that come one by one are routes, and come after the table that they are of.",
            ),
            Statement(
                55,
                ONLY_DELTA,
                "Within one change what is new comes before what is old goes.",
                note="A listener leaves in the update of its type: Envoy removes before it adds, "
                "and a new one may need the address.",
            ),
            Statement(
                56,
                ONLY_SOTW,
                "A cluster that a live route names stays until the routes are ACKed, or a timeout.",
                "SPEC",
            ),
            Statement(
                57,
                BOTH,
                "A changed cluster gets its endpoints again, changed or not.",
                "SPEC",
                note="Also where a client that comes back says that it has them.",
            ),
            Statement(
                58,
                BOTH,
                "A changed listener gets its routes and secrets again.",
                "SPEC",
                note="A route table that is sent again brings the virtual hosts of its own that it is told to have.",
            ),
            Statement(
                59,
                BOTH,
                "No route is sent that names a cluster which has not been sent.",
                "SPEC",
                note="Over separate streams it also waits for the cluster's endpoints, two seconds at most.",
            ),
            Statement(60, BOTH, "A snapshot whose parts refer to something that is not in it is not published."),
            Statement(61, BOTH, "A name that is missing does not silence the rest of its type."),
            Statement(62, BOTH, "A burst of changes is one push, and the last state always arrives."),
            Statement(63, BOTH, "One push of a type is on its way at a time; later states merge, and the latest wins."),
            Statement(64, BOTH, "A client that is slow holds up nobody, and what waits for it is bounded."),
            Statement(65, BOTH, "A new secret touches no other type."),
        ),
    ),
    Chapter(
        "Lifetimes, errors and bounds",
        (
            Statement(
                66,
                BOTH,
                "A resource with a lifetime is confirmed before it ends, to clients that say they can read that.",
                "SPEC",
                note="In SotW with its content: Envoy takes a confirmation without it for an absence.",
            ),
            Statement(67, BOTH, "Such a confirmation is no new version and no new push.", "SPEC"),
            Statement(
                68,
                BOTH,
                "Why a named resource is not there is told once, and never of `*`.",
                "A88",
                decision="not offered: delta clients are told of a name of nothing by its removal [29]",
            ),
            Statement(69, BOTH, "Snapshots of many megabytes pass."),
            Statement(
                70, BOTH, "Pings of clients are welcome, and a connection that is ended for its age loses no state."
            ),
            Statement(71, BOTH, "A peer that is not who it says it is gets no secrets."),
        ),
    ),
    Chapter(
        "Independent clients",
        (
            Statement(
                72,
                ONLY_SOTW,
                "A gRPC client with an `xds:///` name resolves, balances, and follows endpoints.",
                "A27, A53",
            ),
            Statement(
                73,
                ONLY_SOTW,
                "That client never waits for what exists, backs off from streams that die early, "
                "and uses the valid part of a refused response.",
                "A46, A57",
            ),
            Statement(
                74,
                BOTH,
                "The real Envoy converges, is updated, loses what is deleted, "
                "and survives a restart of either side, over ADS and over single services.",
            ),
            Statement(75, BOTH, "What Envoy says it runs is what the server believes it ACKed."),
        ),
    ),
)

STATEMENTS: Final = {item.number: item for chapter in CHAPTERS for item in chapter.statements}
