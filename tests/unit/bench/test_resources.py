import os
import subprocess
import sys

import pytest

from bench.resources import ProcessEnded, children, cpu_of, cpu_seconds, memory_of
from tests.support.eventually import until
from tests.support.processes import python_process

BUSY = "while True: pass"


def test_cpu_time_is_that_of_the_process():
    with python_process("-c", BUSY) as process:
        while (first := cpu_seconds(process.pid)) < 0.05:
            pass
        while cpu_of({"busy": process.pid})["busy"] <= first:
            pass
    own = cpu_seconds(os.getpid())

    assert 0 < own <= sum(os.times()[:2]) + 0.1


def test_a_process_that_is_gone_has_no_figure():
    with python_process("-c", BUSY) as process:
        pass

    with pytest.raises(ProcessEnded, match=f"process {process.pid} ended"):
        cpu_seconds(process.pid)


def test_memory_is_counted_in_bytes():
    memory = memory_of({"test": os.getpid()})["test"]

    assert 0 < memory.pss <= memory.rss
    assert memory.rss > 1 << 20


def test_children_are_named_by_program_and_by_module():
    code = (
        "import subprocess, sys;"
        "a = subprocess.Popen(['/bin/sleep', '60']); b = subprocess.Popen([sys.executable, '-m', 'http.server', '0']);"
        "print('up', flush=True); sys.stdin.read(); a.kill(); b.kill(); a.wait(); b.wait()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as parent:
        parent.stdout.readline()
        # a process that is being replaced by its program has no command line for a moment
        until(lambda: set(children(parent.pid)) == {"sleep", "http.server"})
        parent.stdin.close()
