"""What operators are told: one shape on every way, and everything that is wrong in a sentence."""

from dataclasses import replace

import pytest
from google.protobuf import json_format

from control_plane.operations.reports import (
    ConfigurationReport,
    Element,
    HeldBack,
    HistoryEntry,
    HistoryReport,
    NodeReport,
    NodeResult,
    Pinned,
    RefusalReport,
    ResourceVersion,
    RollbackResult,
    Running,
    ServedType,
    StatusReport,
    TypeReport,
    WiringReport,
    as_json,
    from_json,
    node_reports,
    status_report,
)
from control_plane.server.status import NodeStatus, TypeStatus
from control_plane.xds.names import CLUSTER_TYPE, LISTENER_TYPE
from service_kit.contract import ENVOY_NODE_CLUSTER, SERVICE_NODE_CLUSTER
from tests.support.operations import CONFIGURATION, ENVOY
from tollgate_pb.tollgate.admin.v1 import admin_pb2 as admin_pb

REFUSED = TypeReport(
    "bb", "aa", settled=True, since=2.5, refusal=RefusalReport("bb", "I cannot", 2.5, "n-1", ("email",))
)
EVERYTHING = ConfigurationReport(
    source="conf",
    live_since=1.25,
    digest="3f9a",
    number=12,
    errors=("conf/a.yaml:1:1: wrong",),
    held_back=(HeldBack("route", "email", "conf/a.yaml:5:3", "Envoy refuses it"),),
    rolled_back=Pinned(3, 2.0),
    restored="conf/a.yaml:1:1: wrong",
)
HISTORY = HistoryEntry(
    number=3, at=1.5, digest="77ab", source="conf", result="live", held=("routes.a",),
    nodes={"e1": NodeResult(accepted=False, reason="no")}, live=True, rolled_back_to=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("report", "message"),
    [
        pytest.param(StatusReport(EVERYTHING, (replace(ENVOY, types={CLUSTER_TYPE: REFUSED}),), ("bad",)),
                     admin_pb.StatusReport, id="status"),
        pytest.param(StatusReport(ConfigurationReport("c", 0.0), ()), admin_pb.StatusReport, id="empty status"),
        pytest.param(HistoryReport((HISTORY, HistoryEntry(1, 0.0, "", "", ""))), admin_pb.HistoryReport, id="history"),
        pytest.param(RollbackResult(None, "", held=False, errors=("e",)), admin_pb.RollbackResult, id="rollback"),
        pytest.param(
            Running(
                {"routes.a": Element({"timeout": "5s"}, ("upstreams.u",), ("/a",))},
                {CLUSTER_TYPE: ServedType({"u": ResourceVersion("aa", ("edge",))})},
                WiringReport("unix:/a", "unix:/r", "/dev/stdout", "c", "k", "a"),
                (ENVOY,),
            ),
            admin_pb.Running,
            id="running",
        ),
    ],
)  # fmt: skip
def test_a_report_is_the_same_after_its_message(report, message) -> None:
    sent = json_format.ParseDict(as_json(report), message()).SerializeToString()
    data = json_format.MessageToDict(
        message.FromString(sent), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )

    assert from_json(type(report), data) == report


@pytest.mark.parametrize(
    ("configuration", "nodes", "problems"),
    [
        pytest.param(CONFIGURATION, [ENVOY], [], id="all is well"),
        pytest.param(CONFIGURATION, [], ["no Envoy is connected"], id="nobody"),
        pytest.param(
            CONFIGURATION,
            [replace(ENVOY, cluster=SERVICE_NODE_CLUSTER)],
            ["no Envoy is connected"],
            id="a service alone",
        ),
        pytest.param(replace(CONFIGURATION, errors=("g.yaml:1:1: no",)), [ENVOY], ["g.yaml:1:1: no"], id="mistakes"),
        pytest.param(
            replace(CONFIGURATION, rolled_back=Pinned(3, 0.0)),
            [ENVOY],
            ["rolled back to 3: changes of the file before the next one are not live"],
            id="rolled back",
        ),
        pytest.param(
            replace(CONFIGURATION, restored="g.yaml:1:1: no"),
            [ENVOY],
            ["started from the history, the file is broken: g.yaml:1:1: no"],
            id="restored",
        ),
        pytest.param(
            replace(CONFIGURATION, held_back=EVERYTHING.held_back),
            [ENVOY],
            ["conf/a.yaml:5:3: route email is held back: Envoy refuses it"],
            id="held back",
        ),
        pytest.param(
            CONFIGURATION,
            [replace(ENVOY, types={CLUSTER_TYPE: REFUSED})],
            ["e1 refuses Cluster bb: I cannot"],
            id="refusal",
        ),
        pytest.param(
            CONFIGURATION,
            [replace(ENVOY, types={CLUSTER_TYPE: TypeReport("bb", "aa", settled=False, since=0.0)})],
            ["e1 has not answered for Cluster bb"],
            id="waiting",
        ),
    ],
)
def test_what_is_wrong_is_said(configuration, nodes, problems) -> None:
    assert list(status_report(configuration, nodes).problems) == problems


def stream(*types: str, node: str = "e1", connected_at: float = 1.0, settled: bool = True) -> NodeStatus:
    held = {type_url: TypeStatus("a", "a", None, settled=settled, since=1.0) for type_url in types}
    return NodeStatus(node=node, cluster=ENVOY_NODE_CLUSTER, protocol="sotw", connected_at=connected_at, types=held)


def seen(reports: tuple[NodeReport, ...]) -> list[tuple[str, set[str], float, bool]]:
    return [(item.node, set(item.types), item.connected_at, item.converged) for item in reports]


def test_the_streams_of_a_node_are_one_report() -> None:
    reports = node_reports([stream(CLUSTER_TYPE, connected_at=2.0), stream(LISTENER_TYPE, settled=False)])

    assert seen(reports) == [("e1", {CLUSTER_TYPE, LISTENER_TYPE}, 1.0, False)]


def test_a_node_that_is_connected_twice_is_shown_twice() -> None:
    reports = node_reports(
        [stream(CLUSTER_TYPE), stream(CLUSTER_TYPE, connected_at=2.0), stream(CLUSTER_TYPE, node="e2")]
    )

    assert seen(reports) == [
        ("e1", {CLUSTER_TYPE}, 1.0, True),
        ("e1", {CLUSTER_TYPE}, 2.0, True),
        ("e2", {CLUSTER_TYPE}, 1.0, True),
    ]
