"""`tollgate explain ROUTE` says where each rule is enforced, to people and to programs."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.support.compiled import IDENTITY, config, private, route, written
from tollgate_cli.main import app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    routes = [private("email", "/email", limits=[{"requests": "5/minute"}]), route("public", "/public")]
    return written(tmp_path, config(identity=IDENTITY, routes=routes))


def explain(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def test_people_read_a_table(file: Path) -> None:
    result = explain("email", file)

    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == [
        "WHERE", "envoy", "authorizer", "envoy", "rate limit service", "envoy",
    ]  # fmt: skip
    assert "5 requests a minute per subject" in result.stdout


def test_keys_that_only_the_gateway_has_are_told(tmp_path: Path) -> None:
    issuer = {"name": "staff", "issuer": "https://login.example.com", "audiences": ["g"], "algorithms": ["RS256"]}
    routes = [route("email", "/email", auth=["jwt"]), route("public", "/public")]
    file = written(tmp_path, config(identity={"jwt": [{**issuer, "enforce": "envoy"}]}, routes=routes))

    told = "note: once the gateway has fetched the keys of staff, Envoy judges its tokens\n"
    assert [explain(name, file).stderr for name in ("email", "public")] == [told, ""]


def test_programs_read_json(file: Path) -> None:
    found = json.loads(explain("public", file, "--json").stdout)

    assert found["route"] == "public"
    assert found["rules"][1] == {"rule": "nobody is asked who calls", "where": "envoy", "filter": "rbac.profile"}


def test_an_unknown_route_is_told_with_the_nearest(file: Path) -> None:
    result = explain("emial", file)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: there is no route 'emial'; did you mean 'email'?\n"


def test_a_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    result = explain("email", written(tmp_path, "version: 1\n"))

    assert result.exit_code == 1
    assert "gateway.yaml" in result.stderr
