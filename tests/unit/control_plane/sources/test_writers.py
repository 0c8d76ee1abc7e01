"""Whether somebody has a file open for writing."""

import os
import subprocess
import sys

import pytest

from control_plane.sources.writers import Writers

WRITER = "import sys; f = open(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("text")
    return path


def test_a_writer_is_seen_until_it_closes(file):
    writers = Writers()
    assert not writers.write_to([file])

    with file.open("a"):
        assert writers.write_to([file])

    assert not writers.write_to([file])


def test_a_writer_in_another_process_is_seen(file):
    writers = Writers()
    assert not writers.write_to([file])

    with subprocess.Popen([sys.executable, "-c", WRITER, file], stdin=-1, stdout=-1) as process:
        process.stdout.readline()
        assert writers.write_to([file])
        process.stdin.close()

    assert not writers.write_to([file])


def test_nobody_writes_for_certain_where_the_kernel_tells(file, tmp_path):
    writers = Writers()
    assert writers.have_left([file])

    with file.open("a"):
        assert not writers.have_left([file])

    assert not writers.have_left([file, tmp_path])
    assert writers.have_left([file])


def test_readers_do_not_count(file):
    with file.open():
        assert not Writers().write_to([file])


def test_where_no_lease_was_granted_a_refusal_means_nothing(file):
    with file.open("a"):
        assert not Writers().write_to([file])


def test_who_opens_the_file_meanwhile_waits_and_nobody_is_killed(file):
    """A lease is broken by a signal, which would end this process if it were SIGIO."""
    opener = "import sys\nfor _ in range(3000): open(sys.argv[1], 'a').close()"
    writers = Writers()
    with subprocess.Popen([sys.executable, "-c", opener, file]) as process:
        while process.poll() is None:
            writers.write_to([file])

    assert process.returncode == 0


def test_what_is_no_file_has_no_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    assert not Writers().write_to([tmp_path, tmp_path / "pipe", tmp_path / "loop", tmp_path / "none"])
