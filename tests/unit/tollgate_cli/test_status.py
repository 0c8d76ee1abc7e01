"""`tollgate status`, `history` and `rollback` against a real gRPC server whose answers the test decides."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from control_plane.history.entries import CannotRollBack, NoSuchEntry
from control_plane.operations.reports import (
    BackendReport,
    HeldBack,
    HistoryEntry,
    ModelCounts,
    NodeResult,
    Pinned,
    RefusalReport,
    RollbackResult,
    StatusReport,
    TypeReport,
    as_json,
    status_report,
)
from control_plane.xds.names import CLUSTER_TYPE
from tests.support.certificates import certificates
from tests.support.operations import CONFIGURATION, ENVOY, TOKEN, StandIn, fleet_of, state_of
from tollgate_cli.main import app

REFUSED = TypeReport(
    "bb", "aa", settled=True, since=1.0, refusal=RefusalReport("bb", "I \x1b[31mcannot\nbind", 1.0, "n", ("email",))
)
ENTRIES = (
    HistoryEntry(
        2, 86400.0, "bb22", "gateway.yaml", "live", held=("g.yaml:5:3: route a is held back",),
        nodes={"e1": NodeResult(accepted=True), "e2": NodeResult(accepted=False, reason="port in use")}, live=True,
    ),
    HistoryEntry(1, 0.0, "aa11", "gateway.yaml", "replaced"),
)  # fmt: skip


def tollgate(*arguments: object, **environ: str):
    return CliRunner().invoke(app, [str(item) for item in arguments], env={"COLUMNS": "200", **environ})


@contextmanager
def asked(operations: StandIn, *arguments: object, **environ: str) -> Iterator:
    """What a command says of a gateway that answers so."""
    with state_of(operations) as folder:
        yield tollgate(*arguments, "--state-dir", folder, **environ)


def said(operations: StandIn, *arguments: object, **environ: str):
    with asked(operations, *arguments, **environ) as result:
        return result


def report(**changes: object) -> StandIn:
    nodes = changes.pop("nodes", [ENVOY])
    return StandIn(report=status_report(replace(CONFIGURATION, **changes), nodes))


def test_a_gateway_that_is_well() -> None:
    result = said(report(), "status")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "configuration  gateway.yaml, number 7 of the history, hash 3f9a"
    assert lines[1].startswith("live since     1970-01-01 00:16:40Z (")
    assert lines[3].split() == ["NODE", "CLUSTER", "GROUP", "VERSION", "PROTOCOL", "CONNECTED", "STATE"]
    assert lines[4].split()[:6] == ["e1", "tollgate-envoy", "edge", "envoy", "1.40.0", "delta"]
    assert lines[4].endswith("in sync")
    assert lines[7].split()[:6] == ["e1", "Cluster", "aa", "aa", "in", "sync"]
    assert lines[-1] == "all is as it should be"


@pytest.mark.parametrize(
    ("operations", "texts"),
    [
        pytest.param(
            report(rolled_back=Pinned(3, 0.0)),
            ["ROLLED BACK to 3 at 1970-01-01 00:00:00Z: gateway.yaml is not live until it changes again", "--release"],
            id="rolled back",
        ),
        pytest.param(report(restored="g.yaml:1:1: no"), ["STARTED FROM THE HISTORY", "g.yaml:1:1: no"], id="restored"),
        pytest.param(
            report(errors=("g.yaml:5:2: no such upstream",)), ["mistake", "g.yaml:5:2: no such"], id="mistakes"
        ),
        pytest.param(
            report(held_back=(HeldBack("route", "email", "g.yaml:5:3", "bad regex"),)),
            ["held back", "route email (g.yaml:5:3): bad regex"],
            id="held back",
        ),
        pytest.param(report(nodes=[]), ["nobody is connected", "no Envoy is connected"], id="nobody"),
        pytest.param(
            report(nodes=[replace(ENVOY, converged=False, types={CLUSTER_TYPE: REFUSED})]),
            ["NOT IN SYNC", "REFUSED", "bb [email]: I \\x1b[31mcannot\\nbind"],
            id="refusal, unable to steer the terminal",
        ),
    ],
)
def test_what_is_not_as_it_should_be(operations: StandIn, texts: list[str]) -> None:
    result = said(operations, "status")

    assert result.exit_code == 3
    assert [text for text in texts if text not in result.stdout] == []
    assert f"{len(operations.report.problems)} not as it should be" in result.stdout
    assert "\x1b" not in result.stdout


def test_models_and_the_upstreams_that_are_asked_for_them() -> None:
    operations = report()
    backends = (
        BackendReport("gpu", "ollama", "up", 1_000.0, "", 3, 1_000.0),
        BackendReport("old", "openai", "down", 1_000.0, "\x1b[31mno answer", 0, None, required=True),
    )
    counts = ModelCounts(written=2, discovered=3, withdrawn=4)
    operations.report = replace(operations.report, models=counts, backends=backends)
    lines = [line.split() for line in said(operations, "status").stdout.splitlines()]

    assert ["models", "2", "written", "and", "3", "discovered,", "4", "withdrawn"] in lines
    assert [line[:3] for line in lines if line[:1] in (["gpu"], ["old"])] == [
        ["gpu", "ollama", "up"],
        ["old", "openai", "DOWN"],
    ]
    assert next(line[-3:] for line in lines if line[:1] == ["old"]) == ["0", "\\x1b[31mno", "answer"]


def test_status_for_programs() -> None:
    operations = report(errors=("g.yaml:1:1: no",))
    result = said(operations, "status", "--json")

    assert result.exit_code == 3
    assert json.loads(result.stdout) == as_json(operations.report)
    assert isinstance(operations.report, StatusReport)


def test_history() -> None:
    operations = StandIn(entries=ENTRIES)
    result = said(operations, "history")

    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "NUMBER TIME HASH SOURCE RESULT NODES",
        "2 1970-01-02 00:00:00Z bb22 gateway.yaml live (live) 1 of 2 accepted",
        "1 1970-01-01 00:00:00Z aa11 gateway.yaml replaced -",
        "2: g.yaml:5:3: route a is held back",
        "2: refused by e2: port in use",
    ]


def test_history_for_programs_and_its_length() -> None:
    result = said(StandIn(entries=ENTRIES), "history", "--json", "--limit", 1)

    assert [entry["number"] for entry in json.loads(result.stdout)["entries"]] == [2]


def test_an_empty_history() -> None:
    assert said(StandIn(), "history").stdout == "the history is empty\n"


def test_a_history_that_cannot_be_read() -> None:
    result = said(StandIn(unavailable="history.sqlite is of a newer version"), "history")

    told = "error: there is no history: history.sqlite is of a newer version\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", told)


def test_rollback_says_what_it_means() -> None:
    operations = StandIn()
    result = said(operations, "rollback", 3)

    assert (result.exit_code, operations.asked) == (0, [3])
    assert result.stdout.startswith("ROLLED BACK to 3: it is live (hash 77ab)\nIt holds until the file changes again")
    assert "NOT live" in result.stdout


def test_an_entry_that_is_live_again_has_a_number_of_its_own() -> None:
    result = said(StandIn(result=RollbackResult(5, "77ab", held=True)), "rollback", 3)

    assert result.stdout.startswith("ROLLED BACK to 3: it is live as number 5 (hash 77ab)\n")


def test_release() -> None:
    operations = StandIn(result=RollbackResult(8, "9c0d"))
    result = said(operations, "rollback", "--release")

    assert (result.exit_code, operations.asked) == (0, [None])
    assert result.stdout == "the file is live as number 8 (hash 9c0d)\n"


def test_release_to_a_broken_file() -> None:
    result = said(StandIn(result=RollbackResult(errors=("g.yaml:1:1: no",))), "rollback", "--release")

    assert result.exit_code == 1
    assert "g.yaml:1:1: no" in result.stdout


def test_rollback_for_programs() -> None:
    result = said(StandIn(), "rollback", 3, "--json")

    assert json.loads(result.stdout) == {"number": 3, "digest": "77ab", "held": True, "errors": []}


@pytest.mark.parametrize(
    "error", [NoSuchEntry("there is no number 9: see `tollgate history`"), CannotRollBack("number 9 is not valid")]
)
def test_a_rollback_that_cannot_be(error: CannotRollBack) -> None:
    result = said(StandIn(result=error), "rollback", 9)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {error}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("rollback",), id="nothing to go back to"),
        pytest.param(("rollback", "3", "--release"), id="two places to go to"),
        pytest.param(("rollback", "0"), id="no number"),
        pytest.param(("rollback", "99999999999"), id="a number that no entry can have"),
        pytest.param(("history", "--limit", "0"), id="no entries"),
        pytest.param(("history", "--limit", "99999999999"), id="more entries than can be told"),
        pytest.param(("status", "now"), id="an argument"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert said(StandIn(), *arguments).exit_code == 2


@pytest.mark.parametrize("command", [("status",), ("history",), ("rollback", "3")])
def test_no_gateway_runs(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = tollgate(*command, "--state-dir", tmp_path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no gateway runs at unix:{tmp_path}/run/xds.sock" in result.stderr
    assert "--state-dir" in result.stderr


def test_a_socket_that_nobody_serves() -> None:
    with state_of(StandIn()) as folder:
        (folder / "run" / "other.sock").touch()
        result = tollgate("status", "--state-dir", folder, "--control-plane", f"unix:{folder}/run/other.sock")

    assert result.exit_code == 1
    assert "no control plane answers at unix:" in result.stderr


def test_a_wrong_token() -> None:
    with state_of(StandIn(), token="another-token") as folder:
        wrong = tollgate("status", "--state-dir", folder)
        right = tollgate("status", "--state-dir", folder, TOLLGATE_ADMIN_TOKEN=TOKEN)

    assert (wrong.exit_code, right.exit_code) == (1, 0)
    assert "refuses the admin token; set TOLLGATE_ADMIN_TOKEN" in wrong.stderr


def test_no_token() -> None:
    with state_of(StandIn()) as folder:
        (folder / "admin-token").unlink()
        result = tollgate("status", "--state-dir", folder)

    assert result.exit_code == 1
    assert f"no admin token: {folder}/admin-token: No such file or directory; set TOLLGATE_ADMIN_TOKEN" in result.stderr


def test_over_tcp_by_mutual_tls(tmp_path: Path) -> None:
    files = certificates(tmp_path / "tls")
    named = {
        "TOLLGATE_TLS_CERTIFICATE": str(files.certificate),
        "TOLLGATE_TLS_PRIVATE_KEY": str(files.private_key),
        "TOLLGATE_TLS_AUTHORITY": str(files.authority),
        "TOLLGATE_ADMIN_TOKEN": TOKEN,
    }
    with fleet_of(StandIn(), files) as address:
        right = tollgate("status", "--control-plane", address, **named)
        gone = tollgate("status", "--control-plane", address, **{**named, "TOLLGATE_TLS_AUTHORITY": "/nowhere"})
        half = tollgate("status", "--control-plane", address, **{**named, "TOLLGATE_TLS_AUTHORITY": ""})

    assert (right.exit_code, gone.exit_code, half.exit_code) == (0, 1, 1)
    assert "cannot read /nowhere: No such file or directory" in gone.stderr
    assert "mutual TLS needs TOLLGATE_TLS_CERTIFICATE" in half.stderr


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("127.0.0.1:1", "is reached by mutual TLS: set TOLLGATE_TLS_CERTIFICATE", id="no TLS"),
        pytest.param("nowhere", "is no address", id="no address"),
    ],
)
def test_an_address_that_cannot_be(address: str, reason: str, tmp_path: Path) -> None:
    result = tollgate("status", "--state-dir", tmp_path, "--control-plane", address)

    assert result.exit_code == 1
    assert reason in result.stderr
