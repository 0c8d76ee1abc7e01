"""What an operator asks a running gateway, by the commands, and what it does then."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from control_plane.xds.names import CLUSTER_TYPE
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.upstream import Upstream

TOKEN = "a-bearer-token-for-tests"
FINE, FAILED, DIFFERENT = 0, 1, 3
NOT_WELL = 3


def content(backend: Upstream, *paths: str, **changes: Any) -> dict[str, Any]:
    return {
        "upstreams": {"app": {"url": backend.url}},
        "identity": {"bearer_tokens": [{"name": "ops", "token": TOKEN}]},
        "routes": [
            {"name": path, "match": {"path": f"/{path}"}, "upstream": "app", "auth": "none"} | changes for path in paths
        ],
    }


@pytest.fixture(scope="module")
def shared(upstream: Upstream) -> Iterator[Gateway]:
    with running_gateway(content(upstream, "one")) as found:
        yield found


@pytest.fixture
def gateway(shared: Gateway, upstream: Upstream) -> Gateway:
    """A gateway that is well and serves /one, whatever was done to it before."""
    released = httpx.post(
        f"{shared.admin_url}/rollback", json={"release": True}, headers=bearer(shared), trust_env=False
    )
    assert released.status_code == 200
    for path in (f"fresh-{time.monotonic_ns()}", "one"):  # the first is new: when it is live, the file was read
        shared.write(content(upstream, path))
        well(shared, path)
    return shared


def bearer(gateway: Gateway) -> dict[str, str]:
    return {"authorization": f"Bearer {gateway.admin_token()}"}


def tollgate(gateway: Gateway, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tollgate_cli", command, *arguments, "--state-dir", str(gateway.folder / "state")],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def data(gateway: Gateway, command: str, *arguments: str) -> Any:
    return json.loads(tollgate(gateway, command, *arguments, "--json").stdout)


def told(gateway: Gateway) -> Any:
    """Its status, empty while its control plane is away."""
    try:
        return gateway.status()
    except httpx.TransportError:
        return {"configuration": {"errors": [], "rolled_back": None, "restored": ""}, "problems": ["away"]}


def answers(gateway: Gateway, path: str) -> int:
    return httpx.get(f"{gateway.url}/{path}", trust_env=False, verify=False, timeout=10).status_code


def live(gateway: Gateway, path: str, *, status: int = 200) -> None:
    until(lambda: answers(gateway, path) == status)


def well(gateway: Gateway, path: str) -> None:
    live(gateway, path)
    until(lambda: told(gateway)["problems"] == [])


def number(gateway: Gateway) -> int:
    return gateway.status()["configuration"]["number"]


def test_status_shows_who_runs_what(gateway: Gateway) -> None:
    report = data(gateway, "status")
    people = tollgate(gateway, "status")

    envoys = [node for node in report["nodes"] if node["cluster"] == "tollgate-envoy"]
    assert (report["problems"], report["configuration"]["errors"], len(report["nodes"])) == ([], [], 4)
    assert envoys[0]["user_agent"].startswith("envoy 1.")
    held = envoys[0]["types"][CLUSTER_TYPE]
    assert held["settled"]
    assert held["acked"]
    assert held["sent"] in ("", held["acked"])  # an Envoy that came back with all of it was sent nothing
    assert report["configuration"]["number"] >= 1
    assert report["nodes"] == gateway.status()["nodes"]
    assert (people.returncode, people.stdout.splitlines()[-1]) == (FINE, "all is as it should be")


def test_a_mistake_is_not_as_it_should_be(gateway: Gateway, upstream: Upstream) -> None:
    gateway.write(content(upstream, "one", upstream="nowhere"))
    until(lambda: told(gateway)["configuration"]["errors"])
    result = tollgate(gateway, "status")

    assert result.returncode == NOT_WELL
    assert f"{gateway.file}:" in result.stdout
    assert "nowhere" in result.stdout


def test_a_difference_is_what_the_edit_then_does(gateway: Gateway, upstream: Upstream) -> None:
    same = tollgate(gateway, "diff", str(gateway.file))
    planned = gateway.folder / "planned.yaml"
    current = gateway.file.read_text()
    gateway.file.rename(gateway.folder / "aside")  # write() knows the ports
    gateway.write(content(upstream, "one", "two", timeout="5s"))
    gateway.file.rename(planned)
    (gateway.folder / "aside").rename(gateway.file)
    found = tollgate(gateway, "diff", str(planned))
    told = data(gateway, "diff", str(planned))

    assert current == gateway.file.read_text()
    assert (same.returncode, same.stdout) == (FINE, f"{gateway.file}: nothing would change\n")
    assert found.returncode == DIFFERENT
    assert "  ~ routes.one: timeout unset -> 5s\n  + routes.two\n" in found.stdout
    assert [item["name"] for item in told["resources"]] == ["tollgate:routes"]
    assert [item["cluster"] for item in told["affected"]["nodes"]] == ["tollgate-envoy"]

    gateway.write(content(upstream, "one", "two", timeout="5s"))
    well(gateway, "two")
    assert tollgate(gateway, "diff", str(planned)).returncode == FINE


def test_a_rollback_holds_until_the_file_changes_and_through_a_restart(gateway: Gateway, upstream: Upstream) -> None:
    first = number(gateway)
    gateway.write(content(upstream, "two"))
    well(gateway, "two")
    live(gateway, "one", status=404)

    rolled_back = tollgate(gateway, "rollback", str(first))
    assert (rolled_back.returncode, rolled_back.stdout.partition(":")[0]) == (FINE, f"ROLLED BACK to {first}")
    live(gateway, "one")
    status = tollgate(gateway, "status")
    assert (status.returncode, status.stdout.startswith(f"ROLLED BACK to {first} at ")) == (NOT_WELL, True)
    entries = data(gateway, "history")["entries"]
    assert [entry["number"] for entry in entries if entry["rolled_back_to"]] == [first]
    assert entries[0]["number"] == number(gateway) > first

    gateway.kill("control_plane")
    until(lambda: told(gateway)["configuration"]["rolled_back"])
    live(gateway, "one")
    live(gateway, "two", status=404)

    gateway.write(content(upstream, "three"))
    well(gateway, "three")
    live(gateway, "one", status=404)


def test_a_release_goes_back_to_the_file(gateway: Gateway, upstream: Upstream) -> None:
    first = number(gateway)
    gateway.write(content(upstream, "two"))
    well(gateway, "two")
    tollgate(gateway, "rollback", str(first))
    live(gateway, "one")

    released = tollgate(gateway, "rollback", "--release")

    assert (released.returncode, released.stdout.startswith("the file is live")) == (FINE, True)
    well(gateway, "two")


def test_a_number_that_is_not_there(gateway: Gateway) -> None:
    result = tollgate(gateway, "rollback", "9999")

    assert (result.returncode, result.stdout) == (FAILED, "")
    assert "9999" in result.stderr
    assert answers(gateway, "one") == 200


def test_a_restart_while_the_file_is_broken_serves_the_last_good(gateway: Gateway, upstream: Upstream) -> None:
    gateway.write(content(upstream, "two"))
    well(gateway, "two")
    gateway.file.write_text("version: 1\nroutes: [\n")
    until(lambda: told(gateway)["configuration"]["errors"])

    gateway.kill("control_plane")
    until(lambda: told(gateway)["configuration"]["restored"])
    assert answers(gateway, "two") == 200
    assert tollgate(gateway, "status").stdout.startswith("STARTED FROM THE HISTORY")

    gateway.write(content(upstream, "three"))
    well(gateway, "three")


def test_the_same_by_http(gateway: Gateway, upstream: Upstream) -> None:
    first = number(gateway)
    gateway.write(content(upstream, "two"))
    well(gateway, "two")
    with httpx.Client(base_url=gateway.admin_url, headers=bearer(gateway), trust_env=False, verify=False) as http:
        entries = http.get("/history", params={"limit": 2}).json()["entries"]
        rolled_back = http.post("/rollback", json={"number": first})
        live(gateway, "one")
        released = http.post("/rollback", json={"release": True})
        live(gateway, "two")

    assert [entry["number"] for entry in entries] == [first + 1, first]
    assert (rolled_back.status_code, rolled_back.json()["held"]) == (200, True)
    assert (released.status_code, released.json()["held"]) == (200, False)
