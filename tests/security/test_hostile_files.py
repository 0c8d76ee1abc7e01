"""Files that are made to break their reader are a line in the list of mistakes."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.compile import compile_file
from control_plane.config.errors import InvalidConfig
from control_plane.config.files import MOST_ENTRIES

NOBODY = 65534

CONFIG = """
version: 1
listeners: {public: {address: 127.0.0.1:8800}}
identity:
  jwt:
    - {name: accounts, issuer: "https://a.example", audiences: [gateway], algorithms: [ES256], keys: {file: jwks.json}}
"""


def test_a_key_set_that_is_nested_without_end_is_a_mistake_of_its_line(tmp_path):
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "jwks.json").write_text("[" * 200_000)

    with pytest.raises(InvalidConfig, match=r"gateway.yaml:6:\d+: jwks.json: "):
        compile_file(tmp_path / "gateway.yaml", {})


GOOD = "version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\n"


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(_link_to_itself, "cannot be read: Too many levels of symbolic links", id="loop"),
        pytest.param(_link_to_a_device, "is no regular file", id="device"),
        pytest.param(os.mkfifo, "is no regular file", id="pipe"),
        pytest.param(os.mkdir, "is a directory", id="directory"),
        pytest.param(lambda path: path.symlink_to("gone"), "there is no such file", id="dangling-link"),
    ],
)
def test_what_is_no_file_in_a_directory_is_a_mistake_of_its_name_and_blocks_nobody(tmp_path, make, message):
    (tmp_path / "a.yaml").write_text(GOOD)
    make(tmp_path / "b.yaml")

    with pytest.raises(InvalidConfig) as refused:
        compile_file(tmp_path, {})

    (error,) = refused.value.errors
    assert str(error).startswith(f"{tmp_path}/b.yaml:1:1: {message}; ")


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root reads everything."""
    before = os.geteuid()
    os.seteuid(NOBODY if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_that_may_not_be_read_is_a_mistake_of_its_name():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("a.yaml", "b.yaml"):
            (Path(folder) / name).write_text(GOOD)
        (Path(folder) / "b.yaml").chmod(0)

        with _as_nobody(), pytest.raises(InvalidConfig) as refused:
            compile_file(Path(folder), {})

    (error,) = refused.value.errors
    assert str(error).startswith(f"{folder}/b.yaml:1:1: cannot be read: Permission denied; ")


def test_a_directory_that_may_not_be_listed_is_a_mistake_of_its_name():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o111)

        with (
            _as_nobody(),
            pytest.raises(InvalidConfig, match=f"{folder}:1:1: the directory cannot be read: Permission"),
        ):
            compile_file(Path(folder), {})


def test_a_directory_of_ten_thousand_files_is_refused(tmp_path):
    for number in range(MOST_ENTRIES + 1):
        os.mknod(tmp_path / f"{number}.yaml")

    with pytest.raises(InvalidConfig, match="the directory holds more than 10000 entries; keep the configuration in a"):
        compile_file(tmp_path, {})
