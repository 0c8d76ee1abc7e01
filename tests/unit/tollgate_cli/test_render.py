"""`tollgate render` prints what would be sent, as people or programs read it, and no secret."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from control_plane.render import KINDS
from tests.support.compiled import JWT_SECRET, TOKEN, config, private, route, written
from tollgate_cli.main import app

CONFIG = config(
    identity={"bearer_tokens": [{"name": "ops", "token": "${TOKEN}"}]},
    upstreams={"email": {"url": "http://127.0.0.1:9001"}, "chat": {"url": "http://127.0.0.1:9002"}},
    routes=[private(limits=[{"requests": "1/second"}]), route("public", "/public")],
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.delenv("TOLLGATE_STATE_DIR", raising=False)
    return written(tmp_path, CONFIG)


def render(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["render", *map(str, arguments)])


def shown(*arguments: object) -> dict[str, Any]:
    result = render(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    data: dict[str, Any] = yaml.safe_load(result.stdout)
    return data


def test_everything_is_shown_sorted_by_kind_and_name(file: Path) -> None:
    found = shown(file)

    assert list(found) == sorted(KINDS)
    assert [list(resources) for resources in found.values()] == [sorted(resources) for resources in found.values()]
    assert list(found["endpoints"]) == ["chat", "email"]
    assert list(found["ratelimit"]) == ["route/email"]


def test_a_directory_is_one_configuration(file: Path, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    for key, value in CONFIG.items():
        (tmp_path / "conf" / f"{key}.yaml").write_text(yaml.safe_dump({key: value}))

    assert shown(tmp_path / "conf") == shown(file)


def test_without_a_configuration_the_preset_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BEARER_TOKEN", TOKEN)

    found = shown("--type", "authz", "--type", "clusters")

    assert [token["subject"] for token in found["authz"]["default"]["bearer_tokens"]] == ["default"]
    assert "ollama" in found["clusters"]


def test_programs_read_the_same_as_json(file: Path) -> None:
    result = render(file, "--json")

    assert json.loads(result.stdout) == shown(file)


def test_yaml_stands_in_block_style(file: Path) -> None:
    assert "{" not in render(file, "--type", "endpoints", "--type", "authz").stdout


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind(file: Path, kind: str) -> None:
    assert list(shown(file, "--type", kind)) == [kind]


def test_several_kinds(file: Path) -> None:
    assert list(shown(file, "--type", "routes", "--type", "authz", "--type", "routes")) == ["authz", "routes"]


def test_a_kind_without_resources_is_empty(tmp_path: Path) -> None:
    file = written(tmp_path, config(routes=[]))

    assert shown(file, "--type", "ratelimit") == {"ratelimit": {}}


def pipe(found: dict[str, Any]) -> str:
    group = found["clusters"]["tollgate:authz"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
    path: str = group["endpoint"]["address"]["pipe"]["path"]
    return path


@pytest.mark.parametrize(
    ("options", "state"),
    [
        pytest.param((), ".tollgate", id="default"),
        pytest.param(("--state-dir", "state"), "state", id="relative"),
        pytest.param(("--state-dir", "/var/lib/t"), "/var/lib/t", id="absolute"),
    ],
)
def test_the_wiring_is_that_of_tollgate_run(file: Path, options: tuple[str, ...], state: str) -> None:
    root = file.parent / state

    assert pipe(shown(file, *options)) == f"{root}/run/authz.sock"
    assert f"path: {root}/logs/access.log" in render(file, *options, "--type", "listeners").stdout
    assert not (file.parent / state).exists()


def test_no_secret_is_shown(file: Path) -> None:
    result = render(file)

    assert "[redacted]" in result.stdout
    assert TOKEN not in result.stdout
    assert JWT_SECRET not in result.stdout


def test_mistakes_go_to_stderr_one_a_line(file: Path) -> None:
    file.write_text("version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\nrutes: []\nrouts: []\n")

    result = render(file)

    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [f"{file}:3:1", f"{file}:4:1"]


def test_mistakes_as_json(file: Path) -> None:
    file.write_text("version: 2\n")

    result = render(file, "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["valid"] is False


def test_a_state_directory_whose_sockets_would_not_fit(file: Path) -> None:
    result = render(file, "--state-dir", "/" + "x" * 100)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "choose a shorter --state-dir" in result.stderr


@pytest.mark.parametrize("arguments", [("--type", "wrong", "c.yaml"), ("a", "b")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert render(*arguments).exit_code == 2
