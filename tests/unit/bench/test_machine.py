import re
import subprocess
from pathlib import Path

from bench.machine import commit, described, machine
from tests.support.clock import StillClock
from tests.support.envoy import envoy_binary


def test_a_run_is_dated_by_the_clock_and_names_its_versions():
    facts = machine(envoy_binary(), StillClock(1_700_000_000.0))

    assert facts["date"] == "2023-11-14 22:13 UTC"
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["Envoy"])
    assert re.match(r"\d+ x .+", facts["CPU"])
    assert facts["grpcio"]


def test_a_tree_that_differs_from_its_commit_says_so(tmp_path: Path):
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)

    git("init")
    git("-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--allow-empty", "-m", "first")
    clean = commit(tmp_path)
    (tmp_path / "new").touch()

    assert re.fullmatch("[0-9a-f]{7,}", clean)
    assert commit(tmp_path) == f"{clean} with changes"


def test_a_tree_without_a_repository_has_no_commit(tmp_path: Path):
    assert commit(tmp_path).startswith("unknown")


def test_a_description_is_one_line():
    assert described({"CPU": "2 x fast", "Envoy": "1.40.0"}) == "CPU 2 x fast; Envoy 1.40.0"
