"""What starts is what the control plane will take: the file, the entry rolled back to, or the last good one."""

from pathlib import Path
from typing import Any

import pytest

from control_plane.compile import Compiler
from control_plane.config.errors import InvalidConfig
from control_plane.history.entries import Result
from control_plane.history.history import FILE_NAME, History
from control_plane.reader import Reader
from tests.support.clock import StillClock
from tests.support.compiled import WIRING, config, route, written
from tollgate_cli.beginning import beginning

FIRST, SECOND = config(routes=[route("first", "/first")]), config(routes=[route("second", "/second")])
BROKEN = "version: 1\nroutes: [\n"


def history(folder: Path) -> History:
    return History(folder / FILE_NAME, clock=StillClock(), warn=pytest.fail)


def lived(folder: Path, content: Any) -> int:
    """The number of this configuration, which was live once."""
    reader = Reader(written(folder, content), {}, Compiler(WIRING))
    inputs, kept = reader.read().loaded.inputs, history(folder)
    number = kept.accepted("file", inputs, inputs.digest, Result.LIVE, ())
    kept.close()
    return number


def rolled_back(folder: Path, number: int) -> None:
    digest = Reader(folder / "gateway.yaml", {}, Compiler(WIRING)).digest()
    kept = history(folder)
    kept.pin(number, digest)
    kept.close()


def names(folder: Path) -> list[str]:
    checked = beginning(folder / "gateway.yaml", {}, folder)
    return [item.name for item in checked.gateway.routes]


def test_the_file(tmp_path: Path) -> None:
    lived(tmp_path, FIRST)
    written(tmp_path, SECOND)

    assert names(tmp_path) == ["second"]


def test_the_last_good_one_where_the_file_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lived(tmp_path, FIRST)
    written(tmp_path, BROKEN)

    assert names(tmp_path) == ["first"]
    told = capsys.readouterr().err
    assert f"{tmp_path}/gateway.yaml:3:1: " in told
    assert "is broken: starting with the last good configuration" in told


def test_the_one_that_was_rolled_back_to_until_the_file_changes(tmp_path: Path) -> None:
    first = lived(tmp_path, FIRST)
    lived(tmp_path, SECOND)
    rolled_back(tmp_path, first)
    assert names(tmp_path) == ["first"]

    written(tmp_path, config(routes=[route("third", "/third")]))
    assert names(tmp_path) == ["third"]


@pytest.mark.parametrize("ruin", ["nothing", "another file", "garbage"])
def test_a_broken_file_with_nothing_to_fall_back_on(tmp_path: Path, ruin: str) -> None:
    written(tmp_path, BROKEN)
    if ruin == "another file":
        other = tmp_path / "other"
        other.mkdir()
        lived(other, FIRST)
        (other / FILE_NAME).rename(tmp_path / FILE_NAME)
    elif ruin == "garbage":
        (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)

    with pytest.raises(InvalidConfig):
        names(tmp_path)
