"""Settings come from flags, then the environment, then defaults; what is wrong names its flag."""

from pathlib import Path

import pytest

from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from service_kit.settings import ServiceSettings, TlsFiles, parsed_service_settings, service_parser

NEEDED = ("--listen", "unix:/l", "--control-plane", "unix:/x")


def settings(*argv: str, **environ: str) -> ServiceSettings:
    return parsed_service_settings(service_parser("service", "A service", environ), argv)[0]


def test_defaults() -> None:
    assert settings(*NEEDED) == ServiceSettings(
        listen=UnixEndpoint(Path("/l")), control_plane=UnixEndpoint(Path("/x")), state_dir=Path(".tollgate"),
        metrics=None, probe=None, tls=None, log_level="info",
    )  # fmt: skip


def test_the_environment_takes_the_place_of_flags() -> None:
    found = settings(
        TOLLGATE_LISTEN="0.0.0.0:1", TOLLGATE_CONTROL_PLANE="cp:2", TOLLGATE_STATE_DIR="/s", TOLLGATE_METRICS="h:3",
        TOLLGATE_PROBE="[::]:4", TOLLGATE_LOG_LEVEL="debug", TOLLGATE_TLS_CERTIFICATE="c",
        TOLLGATE_TLS_PRIVATE_KEY="k", TOLLGATE_TLS_AUTHORITY="a",
    )  # fmt: skip

    assert found == ServiceSettings(
        listen=TcpEndpoint("0.0.0.0", 1), control_plane=TcpEndpoint("cp", 2), state_dir=Path("/s"),
        metrics=TcpEndpoint("h", 3), probe=TcpEndpoint("::", 4), tls=TlsFiles(Path("c"), Path("k"), Path("a")),
        log_level="debug",
    )  # fmt: skip


def test_a_flag_wins() -> None:
    assert settings(*NEEDED, "--state-dir", "/flag", TOLLGATE_STATE_DIR="/environment").state_dir == Path("/flag")


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert settings(*NEEDED, TOLLGATE_METRICS="", TOLLGATE_TLS_CERTIFICATE="").metrics is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param((), "--listen is missing: write HOST:PORT or unix:/path/to.sock", id="nothing"),
        pytest.param(NEEDED[:2], "--control-plane is missing", id="no-control-plane"),
        pytest.param((*NEEDED, "--metrics", "9090"), "--metrics: '9090' is no address", id="no-address"),
        pytest.param((*NEEDED, "--listen", "unix:/" + "x" * 107), "--listen: socket path", id="long-path"),
        pytest.param((*NEEDED, "--tls-private-key", "k"), "mutual TLS needs --tls-certificate", id="half-a-tls"),
        pytest.param((*NEEDED, "--wrong"), "unrecognized arguments: --wrong", id="unknown-flag"),
    ],
)
def test_wrong_usage(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings(*argv)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_each_flag_names_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings("--help")

    shown = capsys.readouterr().out
    assert all(f"[TOLLGATE_{name}]" in shown for name in ("LISTEN", "CONTROL_PLANE", "STATE_DIR", "TLS_AUTHORITY"))


def test_an_option_of_a_service_comes_beside_the_common_ones() -> None:
    parser = service_parser("service", "A service", {"TOLLGATE_STORE_NAME": "s"})
    parser.setting("--store-name", help="the store")

    _, options = parsed_service_settings(parser, NEEDED)

    assert options.store_name == "s"
