from pathlib import Path

import pytest

from service_kit.endpoint import EndpointError
from tollgate_cli.supervisor.layout import create, layout


def test_a_socket_path_that_is_too_long_names_the_cure():
    with pytest.raises(EndpointError, match="--state-dir"):
        layout(Path("/tmp") / ("x" * 90))


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert layout(Path("state")).sockets.xds.path == tmp_path / "state" / "run" / "xds.sock"


def test_nobody_else_may_enter(tmp_path):
    place = layout(tmp_path / "state")
    (tmp_path / "state" / "run").mkdir(parents=True, mode=0o755)

    create(place)

    assert [oct(folder.stat().st_mode & 0o777) for folder in (place.run, place.store)] == ["0o700", "0o700"]
