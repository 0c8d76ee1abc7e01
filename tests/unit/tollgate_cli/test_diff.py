"""`tollgate diff`: against a control plane that says what it runs, and against another file."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from control_plane.compile import compile_file, snapshots, with_fetched
from control_plane.config.discovered import DiscoveredModel, Found
from control_plane.config.key_sets import key_set_name
from control_plane.operations.described import hashing_key, running
from control_plane.snapshot import Release
from control_plane.xds.names import ENDPOINTS_TYPE
from control_plane.xds.wiring import Wiring
from tests.support.authz import jwks, rsa_jwk
from tests.support.compiled import TOKEN as SECRET
from tests.support.compiled import WIRING, config, private, route
from tests.support.operations import ENVOY, TOKEN, StandIn, state_of
from tollgate_cli.main import app

TOKENS = {"bearer_tokens": [{"name": "ops", "token": SECRET}]}
OLD = config(routes=[route(), private("reports", "/reports")], identity=TOKENS)
NEW = config(
    routes=[private("reports", "/reports"), route(timeout="5s", body_limit="8MiB")],
    identity={"bearer_tokens": [{"name": "ops", "token": SECRET + "x"}]},
    upstreams={"email": {"url": "http://127.0.0.1:9009"}},
)


def tollgate(*arguments: object):
    return CliRunner().invoke(app, [str(item) for item in arguments], env={"COLUMNS": "200"})


def file(folder: Path, name: str, content: Any) -> Path:
    at = folder / name
    at.write_text(yaml.safe_dump(content, sort_keys=False))
    return at


def gateway(
    folder: Path,
    content: Any,
    sets: Mapping[str, bytes] | None = None,
    found: Found | None = None,
    wiring: Wiring = WIRING,
) -> StandIn:
    """A control plane that runs this, with one Envoy that has its endpoints."""
    checked = with_fetched(compile_file(file(folder, "live.yaml", content), {}), sets or {}, found)
    release = Release(*snapshots(checked.gateway, wiring))
    held = {ENDPOINTS_TYPE: next(iter(ENVOY.types.values()))}
    node = type(ENVOY)("e1", ENVOY.cluster, "delta", 0.0, converged=True, group="edge", types=held)
    return StandIn(runs=running(checked, release, wiring, hashing_key(TOKEN), [node]))


def test_what_would_change_in_the_running_gateway(tmp_path: Path) -> None:
    with state_of(gateway(tmp_path, OLD)) as folder:
        result = tollgate("diff", file(tmp_path, "new.yaml", NEW), "--state-dir", folder)

    assert result.exit_code == 3, result.output
    assert (
        result.stdout
        == f"""\
{tmp_path}/new.yaml would change:
  ~ identity.bearer_tokens.ops: token changed (not shown)
  ~ routes.email: timeout unset -> 5s
  ~ upstreams.email: url http://127.0.0.1:9001 -> http://127.0.0.1:9009

resources:
  ~ ClusterLoadAssignment email
  ~ RouteConfiguration tollgate:routes
  ~ AuthzPolicy default

who is affected:
  routes: email (by upstreams.email), reports (by upstreams.email, identity.bearer_tokens.ops)
  requests: /email, /reports
  Envoys of group edge: e1
"""
    )


def test_nothing_would_change(tmp_path: Path) -> None:
    same = {**OLD, "routes": OLD["routes"][::-1]}
    with state_of(gateway(tmp_path, OLD)) as folder:
        people = tollgate("diff", file(tmp_path, "new.yaml", same), "--state-dir", folder)
        programs = tollgate("diff", tmp_path / "new.yaml", "--json", "--state-dir", folder)

    assert (people.exit_code, people.stdout) == (0, f"{tmp_path}/new.yaml: nothing would change\n")
    assert (programs.exit_code, json.loads(programs.stdout)["different"]) == (0, False)


def test_for_programs(tmp_path: Path) -> None:
    with state_of(gateway(tmp_path, OLD)) as folder:
        result = tollgate("diff", file(tmp_path, "new.yaml", NEW), "--json", "--state-dir", folder)

    found = json.loads(result.stdout)
    assert (result.exit_code, found["different"]) == (3, True)
    assert found["elements"][0] == {
        "element": "identity.bearer_tokens.ops",
        "change": "changed",
        "keys": [{"key": "token", "old": None, "new": None, "secret": True}],
    }
    assert found["affected"]["nodes"] == [
        {"node": "e1", "cluster": "tollgate-envoy", "group": "edge", "types": [ENDPOINTS_TYPE]}
    ]
    assert {item["change"] for item in found["resources"]} == {"changed"}


def test_no_secret_is_shown(tmp_path: Path) -> None:
    with state_of(gateway(tmp_path, OLD)) as folder:
        results = [
            tollgate("diff", file(tmp_path, "new.yaml", NEW), "--state-dir", folder, *flags)
            for flags in ((), ("--json",))
        ]

    assert not any(SECRET in result.output for result in results)


def test_a_configuration_that_is_invalid_is_refused_as_validate_does(tmp_path: Path) -> None:
    bad = file(tmp_path, "new.yaml", {**OLD, "routs": []})
    with state_of(gateway(tmp_path, OLD)) as folder:
        people = tollgate("diff", bad, "--state-dir", folder)
        programs = tollgate("diff", bad, "--json", "--state-dir", folder)
    validated = tollgate("validate", bad)

    assert (people.exit_code, people.stdout, people.stderr) == (1, "", validated.stderr)
    assert (programs.exit_code, json.loads(programs.stdout)["valid"]) == (1, False)


def test_no_gateway_runs(tmp_path: Path) -> None:
    result = tollgate("diff", file(tmp_path, "new.yaml", NEW), "--state-dir", tmp_path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no gateway runs at unix:{tmp_path}/run/xds.sock" in result.stderr


@pytest.mark.parametrize(("content", "code"), [(OLD, 0), (NEW, 3)])
def test_against_another_file(tmp_path: Path, content: Any, code: int) -> None:
    old, new = file(tmp_path, "old.yaml", OLD), file(tmp_path, "new.yaml", content)

    result = tollgate("diff", new, "--against", old)

    assert result.exit_code == code
    assert ("token changed (not shown)" in result.stdout) == bool(code)


def test_against_a_file_that_is_invalid(tmp_path: Path) -> None:
    old, new = file(tmp_path, "old.yaml", {**OLD, "routs": []}), file(tmp_path, "new.yaml", NEW)

    result = tollgate("diff", new, "--against", old)

    assert (result.exit_code, result.stdout) == (1, "")
    assert str(old) in result.stderr


def test_long_lists_are_counted(tmp_path: Path) -> None:
    routes = [route(f"r{number:02}", f"/r{number:02}") for number in range(14)]
    old = file(tmp_path, "old.yaml", config(routes=routes))
    new = file(tmp_path, "new.yaml", config(routes=routes, upstreams={"email": {"url": "http://127.0.0.1:9009"}}))

    result = tollgate("diff", new, "--against", old)

    assert "  routes: r00 (by upstreams.email), r01" in result.stdout
    assert "r09 (by upstreams.email) and 4 more" in result.stdout


def test_keys_that_the_gateway_has_fetched_are_no_difference(tmp_path: Path) -> None:
    """Who compares has fetched none."""
    accounts = {"name": "a", "issuer": "https://a.example.com", "audiences": ["g"], "algorithms": ["RS256"]}
    content = config(routes=[route()], identity={"jwt": [accounts]})
    sets = {key_set_name("https://a.example.com", None): jwks(rsa_jwk()).encode()}
    with state_of(gateway(tmp_path, content, sets)) as folder:
        same = tollgate("diff", file(tmp_path, "same.yaml", content), "--state-dir", folder)
        other = tollgate("diff", file(tmp_path, "new.yaml", {**content, "identity": {}}), "--state-dir", folder)

    assert (same.exit_code, other.exit_code) == (0, 3), same.output
    assert "- identity.jwt.a" in other.stdout


def test_a_gateway_that_translates_for_nobody_could_not_run_it(tmp_path: Path) -> None:
    hosted = {"url": "http://127.0.0.1:9001", "api": "openai"}
    models = [{"name": "smart", "upstream": "hosted"}]
    new = config(upstreams={"hosted": hosted}, llm={"auth": "none"}, models=models)
    with state_of(gateway(tmp_path, OLD, wiring=replace(WIRING, translator=None))) as folder:
        found = tollgate("diff", file(tmp_path, "new.yaml", new), "--state-dir", folder)

    assert found.exit_code == 1, found.output
    assert "nobody translates here (models[0].upstream); leave out --no-translator, or start" in found.stderr


def test_whose_models_come_first_is_a_difference(tmp_path: Path) -> None:
    upstreams = {name: {"url": f"http://{name}:11434", "api": "ollama"} for name in ("near", "far")}
    one, other = (
        config(upstreams=upstreams, llm={"auth": "none"}, discovery={"upstreams": order})
        for order in (["near", "far"], ["far", "near"])
    )
    with state_of(gateway(tmp_path, one)) as folder:
        found = tollgate("diff", file(tmp_path, "new.yaml", other), "--state-dir", folder)

    assert found.exit_code == 3, found.output
    assert "~ discovery: upstreams [near, far] -> [far, near]" in found.stdout


def test_models_that_the_gateway_has_found_are_no_difference(tmp_path: Path) -> None:
    ollama = {"url": "http://127.0.0.1:11434", "api": "ollama"}
    content = config(upstreams={"ollama": ollama}, llm={"auth": "none"}, discovery={"upstreams": ["ollama"]})
    more = {**content, "models": [{"name": "smart", "upstream": "ollama"}]}
    found = {"ollama": (DiscoveredModel("llama3.1:8b"),)}
    with state_of(gateway(tmp_path, content, found=found)) as folder:
        same = tollgate("diff", file(tmp_path, "same.yaml", content), "--state-dir", folder)
        other = tollgate("diff", file(tmp_path, "new.yaml", more), "--state-dir", folder)

    assert (same.exit_code, other.exit_code) == (0, 3), same.output
    assert "+ models.smart" in other.stdout
