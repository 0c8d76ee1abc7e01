"""The admin token: made once, never empty, readable by its owner alone."""

import os
import stat
from pathlib import Path

import pytest

from control_plane.admin.token import FILE_NAME, stored_token


def test_it_is_made_on_first_use_and_kept(tmp_path: Path) -> None:
    token = stored_token(tmp_path)

    assert len(token) >= 32
    assert stored_token(tmp_path) == token
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE_NAME]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        stored_token(tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_two_directories_have_two_tokens(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert stored_token(tmp_path / "a") != stored_token(tmp_path / "b")


def test_a_token_of_the_operator_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("  chosen-by-the-operator\n")

    assert stored_token(tmp_path) == "chosen-by-the-operator"


@pytest.mark.parametrize("content", ["", "\n", "  \n"])
def test_a_file_without_a_token_is_replaced(tmp_path: Path, content: str) -> None:
    """An empty token would let everybody in."""
    (tmp_path / FILE_NAME).write_text(content)

    token = stored_token(tmp_path)

    assert len(token) >= 32
    assert stored_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
