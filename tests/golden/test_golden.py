"""Every case is a folder: what an admin writes, and either all that is compiled from it or the errors it gets.

`in.yaml` may begin with `# shows: routes, ratelimit`: the kinds of resources that the case is about; all where it is
missing. Each case that compiles is also shown to the real Envoy.
"""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from control_plane.compile import compile_file, snapshots
from control_plane.config.errors import InvalidConfig
from control_plane.config.model import Config
from control_plane.envoy_check import envoy_verdict
from control_plane.render import KINDS, rendered
from control_plane.snapshot import Snapshot
from control_plane.xds.wiring import Wiring
from service_kit.endpoint import parse_endpoint
from tests.support.envoy import envoy_binary

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.rglob("in.yaml"))
POLICY_KINDS = ("authz", "ratelimit")
WIRING = Wiring(
    authz=parse_endpoint("unix:/run/tollgate/authz.sock"),
    ratelimit=parse_endpoint("unix:/run/tollgate/ratelimit.sock"),
    access_log="/dev/stdout",
)
ENVIRON = {
    "JWT_SECRET": "a-secret-of-at-least-thirty-two-bytes",
    "BEARER_TOKEN": "a-bearer-token-for-tests",
}


@pytest.mark.parametrize("case", CASES, ids=lambda path: str(path.relative_to(HERE)))
def test_golden(case: Path, request: pytest.FixtureRequest) -> None:
    outputs = _outputs(case)

    if request.config.getoption("--update-golden"):
        _rewrite(case, outputs)
    expected = {path.name: path.read_text() for path in case.iterdir() if path.name not in _inputs(case)}
    assert outputs == expected


def test_there_is_a_case_for_each_key_of_the_language() -> None:
    """No key without a case: every field of the model stands in some in.yaml."""
    written = {key for case in CASES for key in _keys_written(yaml.safe_load((case / "in.yaml").read_text()))}

    assert set(_keys_of(Config)) - written == set()


def _outputs(case: Path) -> Mapping[str, str]:
    try:
        checked = compile_file(case / "in.yaml", ENVIRON)
    except InvalidConfig as error:
        return {"errors.txt": str(error).replace(f"{case}/", "") + "\n"}
    envoy, policies = snapshots(checked.gateway, WIRING)
    verdict = asyncio.run(envoy_verdict(envoy, envoy_binary()))
    assert verdict.accepted, verdict.reason
    told = {kind: policies if kind in POLICY_KINDS else envoy for kind in _shown(case) or KINDS}
    return {f"{kind}.yaml": text for kind, snapshot in told.items() if (text := _text(snapshot, kind, case))}


def _text(snapshot: Snapshot, kind: str, case: Path) -> str:
    resources = rendered(snapshot, kind)
    if kind == "clusters" and _shown(case):  # the services' clusters are always the same: the whole cases show them
        resources = {name: body for name, body in resources.items() if ":" not in name}
    return yaml.safe_dump(resources, sort_keys=False, width=120) if resources else ""


def _shown(case: Path) -> tuple[str, ...]:
    header = re.match(r"# shows: (.+)", (case / "in.yaml").read_text())
    return tuple(header[1].split(", ")) if header else ()


def _inputs(case: Path) -> set[str]:
    return {"in.yaml", *(path.name for path in case.glob("*.json"))}


def _rewrite(case: Path, outputs: Mapping[str, str]) -> None:
    assert not os.environ.get("CI"), "golden files are written by hand and read line by line, never in CI"
    for path in case.iterdir():
        if path.name not in _inputs(case):
            path.unlink()
    for name, text in outputs.items():
        (case / name).write_text(text)


def _keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The keys of a model as dotted paths, with `*` for the names of a mapping."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner, mapped in _models_in(field.annotation):
            yield from _keys_of(inner, f"{prefix}{name}.*." if mapped else f"{prefix}{name}.")


def _models_in(annotation: object, *, mapped: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, mapped
    for part in get_args(annotation):
        yield from _models_in(part, mapped=mapped or get_origin(annotation) is dict)


def _keys_written(node: object, prefix: str = "") -> Iterator[str]:
    """Each path as it is written, and with `*` for any part of it."""
    for name, value in node.items() if isinstance(node, dict) else ():
        for part in (str(name), "*"):
            yield prefix + part
            yield from _keys_written(value, f"{prefix}{part}.")
    for item in node if isinstance(node, list) else ():
        yield from _keys_written(item, prefix)
