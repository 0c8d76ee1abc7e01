import subprocess
import sys

import pytest

from tollgate_cli.supervisor.layout import create, layout
from tollgate_cli.supervisor.lock import StateDirInUse, supervisor_lock


@pytest.fixture
def place(tmp_path):
    place = layout(tmp_path)
    create(place)
    return place


ONE_PROCESS = """
import sys
from pathlib import Path
from tollgate_cli.supervisor.layout import layout
from tollgate_cli.supervisor.lock import StateDirInUse, lock_for_exec
try:
    lock_for_exec(layout(Path(sys.argv[1])), sys.argv[2])
except StateDirInUse as error:
    sys.exit(str(error))
"""


def run_alone(place, name):
    return subprocess.run(
        [sys.executable, "-c", ONE_PROCESS, str(place.root), name], capture_output=True, text=True, check=False
    )


def test_a_second_supervisor_is_refused_and_names_the_first(place):
    with (
        supervisor_lock(place),
        pytest.raises(StateDirInUse, match=r"process \d+.*--state-dir"),
        supervisor_lock(place),
    ):
        pass


def test_the_next_supervisor_may_start(place):
    with supervisor_lock(place):
        pass
    with supervisor_lock(place):
        pass


def test_a_single_process_is_refused_beside_a_supervisor(place):
    with supervisor_lock(place):
        refused = run_alone(place, "store")

    assert (refused.returncode, "is in use" in refused.stderr) == (1, True)


def test_a_single_process_may_run_where_no_supervisor_does(place):
    assert run_alone(place, "store").returncode == 0
