from pathlib import Path

import pytest

from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from tollgate_cli.container.__main__ import main, parsed


def test_what_is_not_said_is_where_the_images_have_it():
    action, settings = parsed(["run"], {})

    assert action == "run"
    assert settings.control_plane == UnixEndpoint(Path("/run/tollgate/xds.sock"))
    assert settings.admin == UnixEndpoint(Path("/run/tollgate/envoy.sock"))
    assert (settings.tls, settings.group, settings.drain_delay, settings.drain_patience) == (None, "", 0, 20)


def test_the_environment_says_it_and_a_flag_says_otherwise():
    environ = {
        "TOLLGATE_ENVOY_MEMORY": "384MiB",
        "TOLLGATE_CONTROL_PLANE": "cp:18000",
        "TOLLGATE_DRAIN_PATIENCE": "60",
        "TOLLGATE_DRAIN_DELAY": "5",
        "TOLLGATE_NODE_GROUP": "edge",
    }

    _action, settings = parsed(["run", "--drain-patience", "7"], environ)

    assert (settings.control_plane, settings.group) == (TcpEndpoint("cp", 18000), "edge")
    assert (settings.drain_delay, settings.drain_patience, settings.memory) == (5, 7, 384 << 20)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["start"], "invalid choice", id="another action"),
        pytest.param(["run", "--envoy-admin", "127.0.0.1:9901"], "never a port", id="an admin port"),
        pytest.param(["run", "--control-plane", "xds.sock"], "is no address", id="no address"),
        pytest.param(["outlast", "--drain-patience", "20s"], "whole number of seconds", id="no number"),
        pytest.param(["run", "--tls-certificate", "/a"], "--tls-private-key", id="half of mutual TLS"),
        pytest.param(["run", "--envoy-memory", "1MiB"], "at least 64MiB", id="too little memory"),
        pytest.param(["run", "--node-group", "the edge"], "'the edge' is no name", id="no group"),
        pytest.param(["run", "--envoy-log-level", "loud"], "no log level", id="no log level"),
    ],
)
def test_wrong_usage_names_the_cure(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed(arguments, {})

    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_where_there_is_no_envoy_there_is_nothing_to_wait_for(tmp_path):
    assert main(["outlast", "--envoy-admin", f"unix:{tmp_path}/none.sock"], {}) == 0


def test_a_binary_that_is_not_there_is_one_line(tmp_path, capsys):
    # no socket to wait for: the certificates are never read
    environ = {f"TOLLGATE_TLS_{name}": "/none" for name in ("CERTIFICATE", "PRIVATE_KEY", "AUTHORITY")}
    arguments = ["run", "--control-plane", "cp:1", "--envoy-binary", f"{tmp_path}/none"]

    assert main([*arguments, "--envoy-admin", f"unix:{tmp_path}/envoy.sock"], environ) == 1
    assert capsys.readouterr().err.startswith("error: ")
