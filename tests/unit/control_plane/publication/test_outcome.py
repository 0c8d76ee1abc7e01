"""Whose fault a refusal is: in Envoy 1.40's own words, one node's or the configuration's."""

import pytest

from control_plane.publication.outcome import own_fault, refused_by_all, refused_names, told
from control_plane.server.status import NodeVerdict, Refusal
from control_plane.snapshot import Resource, Snapshot, resource, snapshot
from control_plane.virtual_hosts import with_virtual_hosts
from control_plane.xds.names import CLUSTER_TYPE, LISTENER_TYPE, ROUTES, ROUTES_TYPE, VIRTUAL_HOST_TYPE
from service_kit.contract import ENVOY_NODE_CLUSTER

BODY = resource(CLUSTER_TYPE, "c", b"body")
SERVED = snapshot(
    [
        BODY,
        resource(LISTENER_TYPE, "edge", b"", groups=frozenset({"edge"})),
        resource(LISTENER_TYPE, "l", b"body"),
        resource(ROUTES_TYPE, "r", b"body"),
    ]
)
IN_USE = "Error adding/updating listener(s) public: cannot bind '127.0.0.1:80': Address already in use\n"
ASKED = frozenset({CLUSTER_TYPE, LISTENER_TYPE, ROUTES_TYPE})


def refusal(
    message: str = "bad",
    type_url: str = ROUTES_TYPE,
    *names: str,
    served: Snapshot = SERVED,
    version: str | None = None,
) -> Refusal:
    return Refusal(type_url, version or served.version(type_url), f"nonce of {message}", message, 0.0, names or ("r",))


def verdict(node: str, *refusals: Refusal, group: str = "", settled: bool = True) -> NodeVerdict:
    return NodeVerdict(ENVOY_NODE_CLUSTER, node, group, settled, refusals)


def refusers(*verdicts: NodeVerdict, served: Snapshot = SERVED, asked: dict[str, frozenset[str]] | None = None) -> list:
    known = {item.node: ASKED for item in verdicts} | (asked or {})
    return [item.node for item in refused_by_all(verdicts, known, served)]


TABLE = snapshot([resource(ROUTES_TYPE, ROUTES, b"")])
OF_A_HOST = refusal("no", VIRTUAL_HOST_TYPE, served=with_virtual_hosts(TABLE))
OF_THE_TABLE = refusal("no", ROUTES_TYPE, served=TABLE)
ONE_BY_ONE, WHOLE = frozenset({ROUTES_TYPE, VIRTUAL_HOST_TYPE}), frozenset({ROUTES_TYPE})


@pytest.mark.parametrize(
    ("verdicts", "asked", "expected"),
    [
        pytest.param([verdict("a", OF_A_HOST)], {"a": ONE_BY_ONE}, ["a"], id="the only one"),
        pytest.param(
            [verdict("a", OF_A_HOST), verdict("b")], {"a": ONE_BY_ONE, "b": ONE_BY_ONE}, [], id="one runs them"
        ),
        pytest.param(
            [verdict("a", OF_A_HOST), verdict("b")], {"a": ONE_BY_ONE, "b": WHOLE}, [], id="one runs the whole table"
        ),
        pytest.param(
            [verdict("a", OF_A_HOST), verdict("b", OF_THE_TABLE)],
            {"a": ONE_BY_ONE, "b": WHOLE},
            ["a"],
            id="one refuses the whole table",
        ),
        pytest.param(
            [verdict("a", OF_A_HOST), verdict("b", settled=False)],
            {"a": ONE_BY_ONE, "b": WHOLE},
            ["a"],
            id="one has not judged the whole table",
        ),
        pytest.param(
            [verdict("a"), verdict("b", OF_THE_TABLE)],
            {"a": ONE_BY_ONE, "b": WHOLE},
            [],
            id="one refuses the table that another runs by its hosts",
        ),
    ],
)
def test_virtual_hosts_and_the_table_that_they_are_of_are_the_same_routes(
    verdicts: list[NodeVerdict], asked: dict[str, frozenset[str]], expected: list[str]
) -> None:
    assert refusers(*verdicts, served=TABLE, asked=asked) == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        pytest.param([], [], id="nobody is there"),
        pytest.param([verdict("a"), verdict("b")], [], id="nobody refuses"),
        pytest.param([verdict("a", refusal())], ["a"], id="the only one refuses"),
        pytest.param([verdict("a", refusal()), verdict("b", refusal())], ["a", "b"], id="all refuse"),
        pytest.param([verdict("a", refusal()), verdict("b")], [], id="one runs it"),
        pytest.param([verdict("a", refusal()), verdict("b", settled=False)], ["a"], id="one has not judged yet"),
        pytest.param(
            [verdict("a", refusal(), group="edge"), verdict("b")], ["a"], id="a group refuses what others run"
        ),
        pytest.param(
            [verdict("a", refusal(), group="of its own"), verdict("b")], [], id="a group that nothing names is none"
        ),
        pytest.param([verdict("a", refusal(IN_USE, LISTENER_TYPE))], [], id="its own port"),
        pytest.param([verdict("a", refusal(version="an older one"))], [], id="of what is not served any more"),
        pytest.param(
            [verdict("a", refusal(), refusal("no", CLUSTER_TYPE)), verdict("b", refusal("no", CLUSTER_TYPE))],
            ["a", "b"],
            id="a type that all refuse beside one that some do",
        ),
    ],
)
def test_what_a_whole_group_refuses_is_the_configurations_fault(
    verdicts: list[NodeVerdict], expected: list[str]
) -> None:
    assert refusers(*verdicts) == expected


def test_who_did_not_ask_for_a_type_has_not_accepted_it() -> None:
    """One service asks for limits, another one for identities."""
    assert refusers(verdict("a", refusal()), verdict("b"), asked={"b": frozenset({CLUSTER_TYPE})}) == ["a"]


def test_a_version_is_that_of_what_the_group_may_see() -> None:
    own = Resource(ROUTES_TYPE, "own", b"", "1", frozenset({"edge"}))
    served = snapshot([BODY, own, resource(ROUTES_TYPE, "r", b"body")])
    seen = served.visible_to("edge").version(ROUTES_TYPE)
    assert seen != served.visible_to("").version(ROUTES_TYPE)

    assert refusers(verdict("a", refusal(version=seen), group="edge"), verdict("b"), served=served) == ["a"]
    assert refusers(verdict("a", refusal(version=seen), group="core"), verdict("b"), served=served) == []


BEGIN = "Error adding/updating listener(s) "


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(IN_USE, True, id="in use"),
        pytest.param(f"{BEGIN}l: cannot bind '0.0.0.0:80': Permission denied\n", True, id="permission"),
        pytest.param(f"{BEGIN}l: cannot bind '10.9.9.9:80': Cannot assign requested address\n", True, id="foreign"),
        pytest.param(f"{BEGIN}l: cannot bind '/no/x.sock': No such file or directory\n", True, id="no such folder"),
        pytest.param(f"{IN_USE}tollgate:http3:m: cannot bind '[::]:443': Address already in use\n", True, id="two"),
        pytest.param(f"{BEGIN}l: unable to open file '/dev/stdout': Permission denied\n", True, id="its log"),
        pytest.param(f"{IN_USE}m: Didn't find a registered implementation for 'x'\n", False, id="and a mistake"),
        pytest.param(f"{BEGIN}l: error adding listener: 'l' has duplicate address '0.0.0.0:80'\n", False, id="twice"),
        pytest.param("cannot bind", False, id="not a list of listeners"),
    ],
)  # fmt: skip
def test_what_a_node_cannot_bind_or_open_is_its_own_fault(message: str, expected: bool) -> None:
    assert own_fault(refusal(message, LISTENER_TYPE)) is expected
    assert own_fault(refusal(message, CLUSTER_TYPE)) is False


CLUSTER_MESSAGE = "Error adding/updating cluster(s) b: Didn't find a registered implementation, c: Didn't find it"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(CLUSTER_MESSAGE, {"b", "c"}, id="clusters"),
        pytest.param(f"{BEGIN}a: no\nc: Unable to parse b\n", {"a", "c"}, id="listeners"),
        pytest.param("Invalid duration: Expected positive duration", {"a", "b", "c", "b2"}, id="none named"),
        pytest.param(f"{BEGIN}unknown: no", {"a", "b", "c", "b2"}, id="another one named"),
    ],
)
def test_resources_are_named_or_all_of_the_push_are_meant(message: str, expected: set[str]) -> None:
    assert refused_names(refusal(message, CLUSTER_TYPE, "a", "b", "c", "b2")) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("missing ): (", "missing ): (", id="as it is"),
        pytest.param(
            'goo.gle/debugstr  \nname: "r"\nvalue: "a secret"\n: Proto constraint validation failed (X: y)',
            "Proto constraint validation failed (X: y)",
            id="a whole resource before the reason",
        ),
        pytest.param(
            "Invalid duration: Expected positive duration: goo.gle/debugonly  \nnanos: -1000000\n",
            "Invalid duration: Expected positive duration:",
            id="a message after it",
        ),
        pytest.param(IN_USE, IN_USE.strip(), id="one line"),
    ],
)
def test_a_reason_is_told_without_the_resource_that_envoy_quotes(message: str, expected: str) -> None:
    assert told(message) == expected
