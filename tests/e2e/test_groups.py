"""A whole gateway of a group: it opens the listeners of its group and those of all, and waits for no other."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.envoy import envoy_binary
from tests.support.eventually import until
from tests.support.gateway import running_gateway, with_addresses
from tests.support.ports import free_port
from tests.support.upstream import Upstream


def listeners(port: int, **groups: list[str]) -> dict[str, Any]:
    """A listener a name, the first of them on this port."""
    ports = [port, *(free_port() for _ in range(len(groups) - 1))]
    return {
        name: {"address": f"127.0.0.1:{at}", "groups": found}
        for at, (name, found) in zip(ports, groups.items(), strict=True)
    }


def answers(address: str) -> bool:
    try:
        httpx.get(f"http://{address}/health", trust_env=False, verify=False)
    except httpx.ConnectError:
        return False
    return True


def test_a_gateway_opens_what_is_for_its_group_and_follows_changes_of_it(upstream: Upstream) -> None:
    opened = listeners(free_port(), edge=["edge"], inside=["inside"], everywhere=[])
    config = {"listeners": opened, "upstreams": {"echo": {"url": upstream.url}}}

    with running_gateway(config, {"TOLLGATE_NODE_GROUP": "edge"}) as gateway:
        found = {name: answers(item["address"]) for name, item in opened.items()}
        assert found == {"edge": True, "inside": False, "everywhere": True}
        assert "listener inside is not opened: it is for gateways of inside" in (gateway.folder / "output").read_text()

        opened["inside"]["groups"] = ["inside", "edge"]
        opened["everywhere"]["groups"] = ["inside"]
        gateway.write(config)
        until(lambda: answers(opened["inside"]["address"]))
        until(lambda: not answers(opened["everywhere"]["address"]))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param((), "a gateway without a group has no listener here", id="no-group"),
        pytest.param(("--node-group", "outside"), "group 'outside' has no listener here", id="another-group"),
    ],
)
def test_a_gateway_for_which_no_listener_is_does_not_start(
    tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        yaml.safe_dump(with_addresses({"listeners": listeners(free_port(), edge=["edge"])}, 0, free_port()))
    )
    command = [sys.executable, "-m", "tollgate_cli", "run", config, "--state-dir", tmp_path / "state", *options]

    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "TOLLGATE_ENVOY": str(envoy_binary())},
    )  # fmt: skip

    assert done.returncode == 1
    assert complaint in done.stderr
    assert "set --node-group or TOLLGATE_NODE_GROUP to one of edge" in done.stderr
