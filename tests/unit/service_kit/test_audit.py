"""The audit trail as a file: whole lines or none, whoever is killed and however full the disk is."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service_kit.api_keys import PREFIX
from service_kit.audit import LONGEST_FACTS, LONGEST_TEXT, AuditEvent, AuditFile, Result, event_of, line

DONE = AuditEvent("a1", 1_700_000_000.5, "admin", "grpc unix", "key.revoke", "key k1", None, {"at": 1}, Result.DONE)
BEGUN = AuditEvent("a1", 1_700_000_000.0, "admin", "grpc unix", "key.revoke", "key k1")
# Adds as many events as it is told to, from a process of its own.
WRITER = """
import sys
from pathlib import Path
from service_kit.audit import AuditEvent, AuditFile
for number in range(int(sys.argv[2])):
    AuditFile(Path(sys.argv[1])).append(AuditEvent(f"{sys.argv[3]}-{number}", 1.0, "a", "b", "c", "d" * 300))
"""
# Is killed as soon as it has written a line, before it can tell anybody.
KILLED = """
import os, signal, sys
from pathlib import Path
from service_kit.audit import AuditEvent, AuditFile
AuditFile(Path(sys.argv[1])).append(AuditEvent("mine", 1.0, "admin", "b", "key.create", "consumer acme"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def file(tmp_path: Path) -> AuditFile:
    return AuditFile(tmp_path / "state" / "audit.jsonl")


def ids(file: AuditFile) -> list[str]:
    return [event_of(text).id for text in file.path.read_bytes().splitlines()]


def test_an_event_is_a_line_that_its_owner_alone_reads(file):
    file.append(BEGUN)
    file.append(DONE)

    assert [event_of(text) for text in file.path.read_bytes().splitlines()] == [BEGUN, DONE]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_whatever_is_in_a_name_a_line_is_a_line():
    strange = AuditEvent("a", 1.0, "a\nb", "\u2028", "c", "d\ud800\0", {"e": "\n"}, None, Result.REFUSED, "f\r\n")

    assert line(strange).count(b"\n") == 1
    assert event_of(line(strange)) == strange


def test_what_is_too_long_is_cut_and_told_by_its_hash():
    told = event_of(line(AuditEvent("a", 1.0, "x" * 9_999, "b", "c", "d", new={"scopes": ["s" * 99] * 99})))

    assert (len(told.actor), (told.new or {}).keys()) == (LONGEST_TEXT, {"characters", "sha256"})
    assert len(line(told)) < LONGEST_FACTS


@pytest.mark.parametrize(
    "text",
    [f"{PREFIX}9zdNHj8RjVfD_hunter2", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.hunter2", "x" * 400 + "eyJ0.hunter2"],
)
def test_what_opens_anything_is_not_told(text):
    for event in (AuditEvent("a", 1.0, "b", "c", "d", text), AuditEvent("a", 1.0, "b", "c", "d", "e", {"name": text})):
        assert b"hunter2" not in line(event)


def test_to_look_for_tokens_in_a_name_as_long_as_a_request_takes_no_time():
    told = event_of(line(AuditEvent("a", 1.0, "b", "c", "d", "eyJ" * 1_000_000)))  # by the square: hours

    assert len(told.object) == LONGEST_TEXT


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"id":"a"}',
        b'{"id":"a","at":1,"result":"odd"}',
        b"\xff",
        line(BEGUN).replace(b'"admin"', b"[]"),
    ],
)
def test_what_is_no_event(text):
    with pytest.raises(ValueError, match="not an event"):
        event_of(text)


def test_a_line_that_a_crash_left_unfinished_spoils_no_other(file):
    file.append(BEGUN)
    with file.path.open("ab") as torn:
        torn.write(line(DONE)[:40])
    file.append(DONE)

    first, broken, last = file.path.read_bytes().splitlines()
    assert (event_of(first), event_of(last)) == (BEGUN, DONE)
    with pytest.raises(ValueError, match="not an event"):
        event_of(broken)


def test_a_disk_that_takes_a_part_keeps_nothing_of_it(file):
    file.append(BEGUN)
    before = file.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))  # the kernel takes 50 bytes of it
    try:
        with pytest.raises(OSError, match=os.strerror(27)):
            file.append(DONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert file.path.read_bytes() == before
    file.append(DONE)
    assert ids(file) == ["a1", "a1"]


def test_several_processes_write_whole_lines(file):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file.path), "25", name]) for name in ("one", "two", "three")
    ]

    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    assert sorted(ids(file)) == sorted(f"{name}-{number}" for name in ("one", "two", "three") for number in range(25))


def test_who_renames_the_file_gets_no_more_of_it(file, tmp_path):
    file.append(BEGUN)
    file.path.rename(tmp_path / "audit.jsonl.1")
    file.append(DONE)

    assert ids(file) == ["a1"]


def test_an_act_whose_process_was_killed_is_left_open(file):
    file.append(BEGUN, DONE)
    done = subprocess.run([sys.executable, "-c", KILLED, str(file.path)], check=False, timeout=30)

    (left,) = file.unfinished()
    assert done.returncode == -signal.SIGKILL
    assert (left.id, left.actor, left.object, left.result) == ("mine", "admin", "consumer acme", Result.UNKNOWN)
    file.append(left)
    assert file.unfinished() == ()


def test_a_link_in_its_place_is_not_followed(file, tmp_path):
    file.path.parent.mkdir()
    file.path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        file.append(BEGUN)
    assert not (tmp_path / "elsewhere").exists()
