import subprocess
import tomllib
from pathlib import Path

import pytest

from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from service_kit.settings import TlsFiles
from tests.support.envoy import envoy_binary as envoy_of_the_tests
from tollgate_cli.supervisor.envoy import (
    BootstrapError,
    EnvoyMissing,
    bootstrap,
    bootstrap_file,
    envoy_binary,
    node_id,
)

NOT_INSTALLED = Path("/nonexistent/envoy")
SOCKET = UnixEndpoint(Path("/run/t/xds.sock"))
ADDRESS = TcpEndpoint("control-plane.internal", 18000)
ADMIN = UnixEndpoint(Path('/run/a "quoted" path/envoy.sock'))


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "bin" / "envoy"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def tls(tmp_path):
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=envoy", "-days", "1"),
        ],
        check=True,
        capture_output=True,
    )
    return TlsFiles(certificate, key, certificate)


def test_the_named_binary_comes_first(program):
    assert envoy_binary({"TOLLGATE_ENVOY": str(program), "PATH": ""}, installed=NOT_INSTALLED) == program


def test_the_installed_binary_comes_before_the_path(program):
    assert envoy_binary({"PATH": "/usr/bin"}, installed=program) == program


def test_the_path_comes_last(program):
    assert envoy_binary({"PATH": str(program.parent)}, installed=NOT_INSTALLED) == program


@pytest.mark.parametrize(
    ("environ", "cure"),
    [
        pytest.param({"PATH": ""}, "make setup", id="none"),
        pytest.param({"PATH": "", "TOLLGATE_ENVOY": "/nonexistent"}, "correct it or unset it", id="a wrong name"),
    ],
)
def test_a_missing_binary_names_the_cure(environ, cure):
    with pytest.raises(EnvoyMissing, match=cure):
        envoy_binary(environ, installed=NOT_INSTALLED)


def test_a_control_plane_across_hosts_needs_mutual_tls():
    with pytest.raises(BootstrapError, match="TOLLGATE_TLS_CERTIFICATE"):
        bootstrap(control_plane=ADDRESS, tls=None, admin=ADMIN, node=node_id(), group="", memory=64 << 20)


@pytest.mark.parametrize("control_plane", [pytest.param(SOCKET, id="socket"), pytest.param(ADDRESS, id="mutual tls")])
def test_envoy_accepts_the_bootstrap(control_plane, tls, tmp_path):
    path, admin = tmp_path / "bootstrap.yaml", UnixEndpoint(tmp_path / 'a "quoted" name.sock')
    path.write_text(
        bootstrap(control_plane=control_plane, tls=tls, admin=admin, node="node: #1", group="edge", memory=64 << 20)
    )

    checked = subprocess.run(
        [str(envoy_of_the_tests()), "--mode", "validate", "-c", str(path)], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


def test_the_bootstrap_beside_the_source_comes_before_an_installed_one(tmp_path):
    source, installed = tmp_path / "source", tmp_path / "share"
    for folder in (source, installed):
        folder.mkdir()
        (folder / "bootstrap.yaml").touch()
    both = bootstrap_file("bootstrap.yaml", (source, installed))
    (source / "bootstrap.yaml").unlink()

    assert (both, bootstrap_file("bootstrap.yaml", (source, installed))) == (
        source / "bootstrap.yaml",
        installed / "bootstrap.yaml",
    )


def test_a_bootstrap_that_is_nowhere_is_an_error_with_a_cure(tmp_path):
    with pytest.raises(BootstrapError, match="install Tollgate again"):
        bootstrap_file("bootstrap.yaml", (tmp_path,))


def test_every_bootstrap_is_installed_with_the_package():
    root = Path(__file__).resolve().parents[4]
    project = tomllib.loads((root / "pyproject.toml").read_text())

    assert sorted(project["tool"]["setuptools"]["data-files"]["share/tollgate/envoy"]) == sorted(
        str(path.relative_to(root)) for path in (root / "envoy").glob("*.yaml")
    )
