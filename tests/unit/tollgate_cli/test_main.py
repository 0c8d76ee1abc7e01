import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tollgate_cli.main import app

GOOD = """version: 1
listeners: {public: {address: 0.0.0.0:8800}}
upstreams: {email: {url: http://127.0.0.1:8080}}
routes:
  - {name: email, match: {path: /api/email/*}, upstream: email, auth: none}
  - {name: login, match: {path: /auth/*}, upstream: email, auth: none}
"""
BAD = GOOD.replace("upstream: email, auth", "upstram: email, auht", 1)
ERROR = {
    "file": "c.yaml",
    "line": 5,
    "column": 48,
    "path": "routes[0].upstram",
    "message": "unknown key 'upstram'",
    "cure": "did you mean 'upstream'?",
}


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("c.yaml")


def tollgate(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_a_valid_configuration_is_summed_up_in_one_line(config):
    config.write_text(GOOD)

    result = tollgate("validate", "c.yaml")

    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "c.yaml is valid: 1 listener, 2 routes, 1 upstream\n",
        "",
    )


def test_models_are_summed_up_too(config):
    gpu = "gpu: {url: http://127.0.0.1:8081, api: ollama}"
    models = "models: [{name: 'a:1', upstream: gpu}, {name: 'b*'}]\ndiscovery: {upstreams: [gpu]}\nllm: {auth: none}\n"
    config.write_text(GOOD.replace("8080}}", f"8080}}, {gpu}}}") + models)

    result = tollgate("validate", "c.yaml")

    summary = "1 listener, 2 routes, 2 upstreams, 1 model, the models of gpu"
    assert (result.exit_code, result.stdout) == (0, f"c.yaml is valid: {summary}\n")


def test_a_directory_is_one_configuration(config):
    Path("conf").mkdir()
    head, _, routes = GOOD.partition("routes:")
    Path("conf/a.yaml").write_text(head)
    Path("conf/b.yaml").write_text("routes:" + routes)

    good = tollgate("validate", "conf")
    Path("conf/c.yaml").write_text("routes:" + routes)
    bad = tollgate("validate", "conf/")

    assert (good.exit_code, good.stdout) == (0, "conf is valid: 1 listener, 2 routes, 1 upstream\n")
    assert bad.exit_code == 1
    assert bad.stderr.splitlines() == [
        f"conf/c.yaml:{line}:12: the name '{name}' stands twice, first at conf/b.yaml:{line}:12"
        f" (routes[{index}].name); rename one"
        for line, name, index in ((2, "email", 2), (3, "login", 3))
    ]


def test_without_a_configuration_the_environment_is_checked(monkeypatch):
    monkeypatch.setenv("GATEWAY_BEARER_TOKEN", "a-bearer-token-for-tests")
    monkeypatch.setenv("MEMORY_V2_ENABLED", "true")
    good = tollgate("validate")
    monkeypatch.setenv("GATEWAY_PORT", "http")
    bad = tollgate("validate", "--json")

    assert (good.exit_code, good.stdout) == (
        0,
        "environment is valid: 1 listener, 0 routes, 1 upstream, the models of ollama\n",
    )
    assert good.stderr.startswith("warning: MEMORY_V2_ENABLED is set: ")
    assert (bad.exit_code, json.loads(bad.stdout)["errors"]) == (
        1,
        [
            {
                "file": "environment",
                "line": 0,
                "column": 0,
                "path": "",
                "message": "GATEWAY_PORT: 'http' is no port",
                "cure": "write a number from 1 to 65535",
            }
        ],
    )


def test_mistakes_go_to_stderr_one_a_line(config):
    config.write_text(BAD)

    result = tollgate("validate", "c.yaml")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "c.yaml:5:48: unknown key 'upstram' (routes[0].upstram); did you mean 'upstream'?",
        "c.yaml:5:64: unknown key 'auht' (routes[0].auht); did you mean 'auth'?",
    ]


def test_programs_read_json(config):
    config.write_text(GOOD)
    good = tollgate("validate", "c.yaml", "--json")
    config.write_text(BAD)
    bad = tollgate("validate", "--json", "c.yaml")

    assert (good.exit_code, json.loads(good.stdout)) == (0, {"valid": True, "errors": []})
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["valid"] is False
    assert ERROR in json.loads(bad.stdout)["errors"]


def test_the_environment_is_put_in(config, monkeypatch):
    config.write_text(GOOD.replace("http://127.0.0.1:8080", "'${EMAIL_URL}'"))
    refused = tollgate("validate", "c.yaml")
    monkeypatch.setenv("EMAIL_URL", "http://127.0.0.1:8081")

    assert "EMAIL_URL is not set" in refused.stderr
    assert tollgate("validate", "c.yaml").exit_code == 0


def test_a_missing_file_is_refused(config):
    result = tollgate("validate", "c.yaml")

    assert (result.exit_code, result.stderr) == (1, "c.yaml:1:1: there is no such file; check the path\n")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("validate", "a", "b"), id="two configurations"),
        pytest.param(("validate", "--wrong", "a"), id="unknown option"),
        pytest.param(("wrong",), id="unknown command"),
    ],
)
def test_wrong_usage(arguments):
    assert tollgate(*arguments).exit_code == 2


def test_the_schema_is_printed():
    result = tollgate("schema")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "Tollgate configuration"


def test_the_version_is_printed():
    result = tollgate("version")

    assert result.exit_code == 0
    assert result.stdout.strip()


@pytest.mark.parametrize("command", ["version", "schema"])
def test_light_commands_import_little(command):
    code = (
        "import sys\nfrom tollgate_cli.main import app\n"
        f"try:\n    app([{command!r}])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'grpc', 'google.protobuf', 'envoy', 'uvloop'} & set(sys.modules)), file=sys.stderr)"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stderr == "[]\n"


@pytest.mark.parametrize("command", ["validate", "render"])
def test_what_only_envoy_sees_is_refused_at_its_line(config, monkeypatch, command):
    config.write_text(GOOD.replace("name: login", "name: unwanted"))
    envoy = config.absolute().with_name("envoy")
    envoy.write_text("#!/bin/sh\nif grep -q unwanted \"$4\"; then echo '[x] Envoy dislikes it' >&2; exit 1; fi\n")
    envoy.chmod(0o700)
    monkeypatch.setenv("TOLLGATE_ENVOY", str(envoy))

    result = tollgate(command, "c.yaml")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "c.yaml:6:5: route 'unwanted': Envoy refuses it: Envoy dislikes it; correct it\n"


def test_without_envoy_it_says_so(config, monkeypatch):
    config.write_text(GOOD)
    monkeypatch.setenv("TOLLGATE_ENVOY", "/nowhere/envoy")

    result = tollgate("validate", "c.yaml")

    assert (result.exit_code, result.stdout) == (0, "c.yaml is valid: 1 listener, 2 routes, 1 upstream\n")
    assert result.stderr.startswith("note: Envoy was not asked: $TOLLGATE_ENVOY is /nowhere/envoy")
