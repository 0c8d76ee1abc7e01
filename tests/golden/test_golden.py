"""Every case is a folder: what an admin writes, and either all that is compiled from it or the errors it gets.

What is written is `in.yaml`, or a folder `in` of files. The first file may begin with `# shows: routes, ratelimit`:
the kinds of resources that the case is about; all where it is missing. Behind that `# in full: NAME, NAME` may name
the routes that it is about: the others are shown by their names, and these once. Each case that compiles is also shown
to the real Envoy.
"""

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane.compile import compile_file, snapshots
from control_plane.config.errors import InvalidConfig
from control_plane.envoy_check import envoy_verdict
from control_plane.render import KINDS, rendered
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.routes.refusals import REFUSALS
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint, unix_endpoint
from service_kit.version import installed_version
from tests.support.envoy import envoy_binary
from tests.support.golden_cases import CASES, ENVIRON, source, written
from tests.support.keys import keys_missing

HERE = Path(__file__).parent
# Routes of every virtual host.
ALWAYS = {names.NO_ROUTE, *(item.name for item in REFUSALS)}
POLICY_KINDS = ("authz", "ratelimit", "ledger")
WIRING = Wiring(
    authz=parse_endpoint("unix:/run/tollgate/authz.sock"),
    ratelimit=parse_endpoint("unix:/run/tollgate/ratelimit.sock"),
    access_log="/dev/stdout",
    oauth=unix_endpoint(Path("/run/tollgate/oauth.sock")),
    usage=unix_endpoint(Path("/run/tollgate/usage.sock")),
    translator=unix_endpoint(Path("/run/tollgate/translator.sock")),
)


@pytest.mark.parametrize("case", CASES, ids=lambda path: str(path.relative_to(HERE)))
def test_golden(case: Path, request: pytest.FixtureRequest) -> None:
    outputs = _outputs(case)

    if request.config.getoption("--update-golden"):
        _rewrite(case, outputs)
    expected = {path.name: path.read_text() for path in case.iterdir() if path.name not in _inputs(case)}
    assert outputs == expected


def test_there_is_a_case_for_each_key_of_the_language() -> None:
    """No key without a case: every field of the model stands in some in.yaml."""
    assert keys_missing(written(CASES)) == set()


def _outputs(case: Path) -> Mapping[str, str]:
    try:
        checked = compile_file(source(case), ENVIRON)
    except InvalidConfig as error:
        return {"errors.txt": str(error).replace(f"{case}/", "") + "\n"}
    envoy, policies = snapshots(checked.gateway, WIRING)
    verdict = asyncio.run(envoy_verdict(envoy, envoy_binary()))
    assert verdict.accepted, verdict.reason
    told = {kind: policies if kind in POLICY_KINDS else envoy for kind in _shown(case) or KINDS}
    outputs = {f"{kind}.yaml": text for kind, snapshot in told.items() if (text := _text(snapshot, kind, case))}
    return outputs | _groups(envoy)


def _groups(snapshot: Snapshot) -> Mapping[str, str]:
    """Who sees what, where not everybody sees all; it stands in no resource."""
    seen = {
        kind: groups
        for kind, type_url in KINDS.items()
        if (groups := {name: sorted(item.groups) for name, item in snapshot.of(type_url).items() if item.groups})
    }
    return {"groups.yaml": yaml.safe_dump(seen)} if seen else {}


def _text(snapshot: Snapshot, kind: str, case: Path) -> str:
    resources = rendered(snapshot, kind)
    if kind == "clusters" and _shown(case):  # the services' clusters are always the same: the whole cases show them
        resources = {name: body for name, body in resources.items() if not name.startswith("tollgate:")}
    if kind == "listeners" and _shown(case):  # so are the mappers of errors
        for listener in resources.values():
            for chain in listener["filter_chains"]:
                del chain["filters"][-1]["typed_config"]["local_reply_config"]
    if kind == "routes" and _shown(case):  # and what the gateway itself answers
        for host in (host for resource in resources.values() for host in resource["virtual_hosts"]):
            host["routes"] = [item for item in host["routes"] if item["name"] not in ALWAYS]
        _shorten(resources, _in_full(case))
    text = yaml.safe_dump(resources, sort_keys=False, width=120) if resources else ""
    return text.replace(f'"version":"{installed_version()}"', '"version":"OURS"')


def _shorten(resources: Mapping[str, Any], in_full: Iterable[str]) -> None:
    """Leaves of other routes their names, and of these what was not shown before."""
    left = set(in_full)
    for host in (host for resource in resources.values() for host in resource["virtual_hosts"] if in_full):
        routes, host["routes"] = host["routes"], []
        for item in routes:
            host["routes"].append(item if item["name"] in left else {"name": item["name"]})
        left -= {item["name"] for item in routes}


def _shown(case: Path) -> tuple[str, ...]:
    return _said(case, "shows")


def _in_full(case: Path) -> tuple[str, ...]:
    return _said(case, "in full")


def _said(case: Path, key: str) -> tuple[str, ...]:
    """What the header says under this key."""
    header = re.match(rf"(?:# .+\n)*?# {key}: (.+)", next(written([case])).read_text())
    return tuple(header[1].split(", ")) if header else ()


def _inputs(case: Path) -> set[str]:
    return {"in.yaml", "in", *(path.name for path in case.glob("*.json"))}


def _rewrite(case: Path, outputs: Mapping[str, str]) -> None:
    assert not os.environ.get("CI"), "golden files are written by hand and read line by line, never in CI"
    for path in case.iterdir():
        if path.name not in _inputs(case):
            path.unlink()
    for name, text in outputs.items():
        (case / name).write_text(text)
