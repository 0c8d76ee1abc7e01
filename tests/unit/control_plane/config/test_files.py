"""Which files make a configuration, and whether one reading of them is a picture of one moment."""

import os
from pathlib import Path

import pytest

from control_plane.config import files, load
from control_plane.config.errors import InvalidConfig
from control_plane.config.files import MOST_ENTRIES, Reading, UnreadableFile, configuration_files, digest, read_file


def test_a_file_is_itself_and_a_directory_its_files_by_name(tmp_path):
    for name in ("b.yaml", "a.yml", "10-c.yaml"):
        (tmp_path / name).touch()

    assert configuration_files(tmp_path) == tuple(tmp_path / name for name in ("10-c.yaml", "a.yml", "b.yaml"))
    assert configuration_files(tmp_path / "b.yaml") == (tmp_path / "b.yaml",)
    assert configuration_files(tmp_path / "none") == (tmp_path / "none",)


def test_a_directory_that_is_somebody_elses_is_not_read_to_its_end(tmp_path):
    for number in range(MOST_ENTRIES + 1):
        os.mknod(tmp_path / f"{number}.txt")

    with pytest.raises(UnreadableFile, match="holds more than 10000 entries"):
        configuration_files(tmp_path)


def test_a_reading_reads_each_file_once_and_knows_what_it_read(tmp_path):
    (tmp_path / "a").write_text("first")
    reading = Reading()

    assert reading.content(tmp_path / "a", largest=9) == b"first"
    (tmp_path / "a").write_text("second")
    assert reading.content(tmp_path / "a", largest=9) == b"first"
    with pytest.raises(UnreadableFile):
        reading.content(tmp_path / "b", largest=9)

    assert reading.digests == {tmp_path / "a": files.digest_of(b"first"), tmp_path / "b": None}
    assert digest(tmp_path / "a") == files.digest_of(b"second")
    assert digest(tmp_path / "b") is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: (folder / "a.yaml").write_text("other"), id="written"),
        pytest.param(lambda folder: (folder / "a.yaml").unlink(), id="deleted"),
        pytest.param(lambda folder: (folder / "b.yaml").touch(), id="added"),
        pytest.param(lambda folder: (folder / "gone.json").touch(), id="appeared"),
        pytest.param(lambda folder: (folder / "a.yaml").rename(folder / "c.yaml"), id="renamed"),
    ],
)
def test_a_change_while_files_are_read_is_noticed(tmp_path, change):
    (tmp_path / "a.yaml").write_text("one")
    reading = Reading()
    for file in reading.configuration_files(tmp_path):
        reading.content(file, largest=9)
    with pytest.raises(UnreadableFile):
        reading.content(tmp_path / "gone.json", largest=9)
    assert reading.still_true()

    change(tmp_path)

    assert not reading.still_true()


class Swapping(Reading):
    """While the first file is read, both are replaced: as when a ConfigMap is swapped in the middle."""

    swaps = 1

    def content(self, path: Path, *, largest: int) -> bytes:
        found = super().content(path, largest=largest)
        if path.name == "a.yaml" and type(self).swaps:
            type(self).swaps -= 1
            write(path.parent, 9901)
        return found


def write(folder: Path, port: int) -> None:
    """Two files that agree on a port."""
    (folder / "a.yaml").write_text(f"version: 1\nadmin: {{address: 127.0.0.1:{port}}}")
    (folder / "b.yaml").write_text(f"listeners: {{public: {{address: 127.0.0.1:{port + 1}}}}}")


def test_files_that_are_swapped_while_they_are_read_are_read_again(tmp_path, monkeypatch):
    write(tmp_path, 8801)
    monkeypatch.setattr(load, "Reading", Swapping)
    monkeypatch.setattr(Swapping, "swaps", 1)

    config = load.load(tmp_path, {}).config

    assert (config.admin.address.port, config.listeners["public"].address.port) == (9901, 9902)


def test_files_that_never_stay_the_same_are_an_error(tmp_path, monkeypatch):
    write(tmp_path, 8801)
    monkeypatch.setattr(load, "Reading", Swapping)
    monkeypatch.setattr(Swapping, "swaps", 1000)

    with pytest.raises(InvalidConfig, match="it changes while it is read; write it in one step"):
        load.load(tmp_path, {})


def test_a_pipe_that_takes_the_place_of_a_file_blocks_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UnreadableFile, match="is no regular file"):
        read_file(tmp_path / "pipe", largest=9)
