from dataclasses import replace
from pathlib import Path

import pytest

from service_kit.endpoint import TcpEndpoint
from service_kit.settings import SettingError
from tollgate_cli.supervisor.layout import layout
from tollgate_cli.supervisor.processes import APPENDFSYNC, NAMES, STOP_ORDER, Gateway, appendfsync, envoy, processes

PLACE = layout(Path("/s"))
ENVIRON = {"PATH": "/usr/bin", "OPENAI_API_KEY": "sk-1", "TOLLGATE_LOG_LEVEL": "debug"}
GATEWAY = Gateway(Path("g.yaml"), PLACE, Path("/opt/envoy"), ENVIRON, PLACE.sockets.xds)


def options(name):
    """The process's command after its program (and Python's `-m`), as text."""
    command = next(spec.command for spec in processes(GATEWAY) if spec.name == name)
    return " ".join(command[2:] if command[1] == "-m" else command[1:])


def test_every_process_is_there_and_is_stopped():
    assert [spec.name for spec in processes(GATEWAY)] == list(NAMES)
    assert sorted(STOP_ORDER) == sorted(NAMES)


def test_without_a_translator_nobody_is_told_of_one():
    without = processes(replace(GATEWAY, translates=False))

    assert [spec.name for spec in without] == [name for name in NAMES if name != "translator"]
    assert "translator" not in " ".join(word for spec in without for word in spec.command)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "control_plane",
            "control_plane g.yaml --xds unix:/s/run/xds.sock --state-dir /s --audit-log /s/audit.jsonl"
            " --authz unix:/s/run/authz.sock --ratelimit unix:/s/run/ratelimit.sock"
            " --oauth unix:/s/run/oauth.sock --usage unix:/s/run/usage.sock"
            " --access-log /s/logs/access.log"
            " --envoy-admin unix:/s/run/envoy.sock --scrape authz=unix:/s/run/authz-metrics.sock"
            " --scrape ratelimit=unix:/s/run/ratelimit-metrics.sock"
            " --scrape ledger=unix:/s/run/ledger-metrics.sock"
            " --translator unix:/s/run/translator.sock --scrape translator=unix:/s/run/translator-metrics.sock"
            " --envoy-binary /opt/envoy",
            id="control plane",
        ),
        pytest.param(
            "authz",
            "authz_service --listen unix:/s/run/authz.sock --control-plane unix:/s/run/xds.sock --state-dir /s"
            " --metrics unix:/s/run/authz-metrics.sock --http unix:/s/run/oauth.sock",
            id="authz",
        ),
        pytest.param(
            "ratelimit",
            "ratelimit_service --listen unix:/s/run/ratelimit.sock --control-plane unix:/s/run/xds.sock"
            " --store unix:/s/run/store.sock --state-dir /s --metrics unix:/s/run/ratelimit-metrics.sock",
            id="ratelimit",
        ),
        pytest.param(
            "ledger",
            "usage_ledger --listen unix:/s/run/ledger.sock --control-plane unix:/s/run/xds.sock --state-dir /s"
            " --metrics unix:/s/run/ledger-metrics.sock --http unix:/s/run/usage.sock"
            " --access-log /s/logs/access.log --usage-events /s/usage-events.jsonl"
            " --audit-log /s/audit.jsonl"
            " --ratelimit unix:/s/run/ratelimit.sock",
            id="ledger",
        ),
        pytest.param(
            "translator",
            "llm_translator --listen unix:/s/run/translator.sock --metrics unix:/s/run/translator-metrics.sock",
            id="translator",
        ),
        pytest.param(
            "envoy",
            "-c /s/run/bootstrap.yaml --disable-hot-restart --drain-time-s 600 --drain-strategy immediate"
            " --file-flush-interval-msec 1000 --file-flush-min-size-kb 0",
            id="envoy",
        ),
        pytest.param(
            "store",
            "--port 0 --unixsocket /s/run/store.sock --unixsocketperm 600 --dir /s/store --appendonly yes"
            " --appendfsync no --save  --maxmemory-policy noeviction --protected-mode yes --daemonize no",
            id="store",
        ),
    ],
)
def test_the_command_wires_the_process_to_the_others(name, expected):
    assert options(name) == expected


@pytest.mark.parametrize(("chosen", "expected"), [({}, "no"), ({APPENDFSYNC: "always"}, "always")])
def test_the_store_waits_for_the_disk_where_it_is_told_to(chosen, expected):
    assert appendfsync(chosen) == expected


def test_the_store_never_acknowledges_what_it_has_not_written():
    with pytest.raises(SettingError, match="'everysec' is neither no nor always"):
        appendfsync({APPENDFSYNC: "everysec"})


def test_only_the_control_plane_sees_the_secrets_of_the_environment():
    seen = {spec.name for spec in processes(GATEWAY) if "OPENAI_API_KEY" in spec.environ}

    assert seen == {"control_plane"}
    assert all(spec.environ["TOLLGATE_LOG_LEVEL"] == "debug" for spec in processes(GATEWAY))


def test_envoy_waits_for_a_control_plane_of_its_own_host_only():
    elsewhere = Gateway(None, PLACE, Path("/opt/envoy"), ENVIRON, TcpEndpoint("control-plane", 18000))

    assert (envoy(GATEWAY).after, envoy(elsewhere).after) == (PLACE.sockets.xds, None)
