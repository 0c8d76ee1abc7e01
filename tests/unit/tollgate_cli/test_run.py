import os
import signal
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from service_kit.endpoint import listening_socket, parse_endpoint, unix_endpoint
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.processes import python_process
from tollgate_cli.main import app
from tollgate_cli.supervisor.child import accepts
from tollgate_cli.supervisor.layout import create, layout
from tollgate_cli.supervisor.lock import supervisor_lock


@pytest.fixture
def address():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def config(tmp_path, address):
    path = tmp_path / "gateway.yaml"
    path.write_text(
        f"version: 1\nlisteners: {{public: {{address: {address}}}}}\nadmin: {{address: 127.0.0.1:{free_port()}}}\n"
    )
    return path


@pytest.fixture
def envoy(tmp_path, monkeypatch):
    """A program that is found in Envoy's place: these tests end before it would run."""
    program = tmp_path / "envoy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("TOLLGATE_ENVOY", str(program))


def run(*arguments):
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


@pytest.mark.usefixtures("envoy")
@pytest.mark.parametrize("token", [None, ""], ids=["unset", "empty"])
def test_without_a_configuration_and_a_token_nothing_starts(tmp_path, monkeypatch, token):
    monkeypatch.delenv("GATEWAY_BEARER_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("GATEWAY_BEARER_TOKEN", token)

    result = run("--state-dir", tmp_path / "state")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "environment: GATEWAY_BEARER_TOKEN: is not set; without it nobody may call: export it, such as"
        " `openssl rand -hex 32` makes one, or name a CONFIG file\n"
    )
    assert not (tmp_path / "state").exists()


def test_the_control_planes_address_is_for_a_single_process(config):
    result = run(config, "--control-plane", "unix:/run/xds.sock")

    assert (result.exit_code, "--only" in result.stderr) == (2, True)


def test_a_single_process_is_chosen_by_its_name_alone(config):
    result = run(config, "--only", "envoy", "--no-translator")

    assert (result.exit_code, "--no-translator" in result.stderr) == (2, True)


@pytest.mark.usefixtures("envoy")
def test_without_a_translator_no_call_may_need_one(config, tmp_path):
    models = {"upstreams": {"local": {"url": "http://127.0.0.1:9", "api": "ollama-native"}}}
    asked = {**models, "models": [{"name": "m", "upstream": "local"}], "llm": {"auth": "none"}}
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **asked, "routes": []}))

    result = run(config, "--no-translator", "--state-dir", tmp_path / "state")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "nobody translates here" in result.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("envoy")
def test_an_invalid_configuration_is_refused_with_every_mistake(tmp_path):
    config = tmp_path / "gateway.yaml"
    config.write_text("version: 1\nlistener: {}\nlisteners: {public: {address: 8800}}\n")

    result = run(config, "--state-dir", tmp_path / "state")

    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert [line.partition(": ")[0] for line in lines] == [f"{config}:2:1", f"{config}:3:31"]


@pytest.mark.usefixtures("envoy")
def test_a_missing_configuration_is_one_line(tmp_path):
    result = run(tmp_path / "none.yaml", "--state-dir", tmp_path / "state")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "none.yaml" in result.stderr


@pytest.mark.usefixtures("envoy")
def test_a_port_in_use_is_one_line_with_the_cure(config, address, tmp_path):
    with listening_socket(parse_endpoint(address)):
        result = run(config, "--state-dir", tmp_path / "state")

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {config}: listeners.public.address: cannot listen on {address}: Address already in use;"
        " choose another address, or stop the process that has it\n"
    )


@pytest.mark.usefixtures("envoy")
def test_a_state_directory_that_is_too_deep_is_one_line_with_the_cure(config, tmp_path):
    result = run(config, "--state-dir", tmp_path / ("x" * 90))

    assert (result.exit_code, len(result.stderr.splitlines()), "--state-dir" in result.stderr) == (1, 1, True)


@pytest.mark.usefixtures("envoy")
@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_state_directory_that_is_a_file_is_one_line_with_the_cure(config, tmp_path, name):
    (tmp_path / "file").touch()

    result = run(config, "--state-dir", tmp_path / name)

    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert result.stderr.startswith(f"error: {tmp_path / name}: ")
    assert "choose another --state-dir" in result.stderr


def test_an_unknown_log_level_is_one_line_before_anything_starts(config, tmp_path, monkeypatch):
    monkeypatch.setenv("TOLLGATE_LOG_LEVEL", "loud")

    result = run(config, "--state-dir", tmp_path / "state")

    expected = "error: 'loud' is no log level: write debug, info, warning or error\n"
    assert (result.exit_code, result.stderr) == (1, expected)
    assert not (tmp_path / "state").exists()


def test_a_process_of_its_own_says_what_is_wrong_with_its_log_level():
    command = (sys.executable, "-m", "authz_service", "--listen", "unix:/l", "--control-plane", "unix:/x")

    ended = subprocess.run((*command, "--log-level", "loud"), capture_output=True, text=True, check=False)

    assert (ended.returncode, "--log-level: 'loud' is no log level" in ended.stderr) == (2, True)


@pytest.mark.usefixtures("envoy")
def test_a_second_gateway_on_a_state_directory_is_refused(config, tmp_path):
    place = layout(tmp_path / "state")
    create(place)

    with supervisor_lock(place):
        result = run(config, "--state-dir", place.root)

    assert (result.exit_code, f"is in use by process {os.getpid()}" in result.stderr) == (1, True)


def test_envoy_across_hosts_is_refused_without_mutual_tls(tmp_path):
    result = run("--only", "envoy", "--control-plane", "control-plane:18000", "--state-dir", tmp_path)

    assert (result.exit_code, "TOLLGATE_TLS_CERTIFICATE" in result.stderr) == (1, True)


def test_half_of_the_files_of_mutual_tls_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TOLLGATE_TLS_CERTIFICATE", "tls.crt")

    result = run("--only", "envoy", "--control-plane", "control-plane:18000", "--state-dir", tmp_path)

    assert (result.exit_code, "TOLLGATE_TLS_AUTHORITY" in result.stderr) == (1, True)


async def test_a_single_process_becomes_it(tmp_path):
    socket = unix_endpoint(tmp_path / "run" / "store.sock")
    with python_process("-m", "tollgate_cli", "run", "--only", "store", "--state-dir", tmp_path) as process:
        await eventually(lambda: accepts(socket), within=10)
        refused = run("--only", "store", "--state-dir", tmp_path)
        assert (refused.exit_code, "is in use" in refused.stderr) == (1, True)

        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None)
