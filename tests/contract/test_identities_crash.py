"""A process or a server that is killed in the middle of its work takes nothing along that it had acknowledged."""

import json
import os
import random
import signal
import subprocess
import sys
import time

from control_plane.keys.entries import KeyState
from service_kit.contract import API_KEY_TYPE
from tests.support.clock import StillClock
from tests.support.identities import KEYS_UNTIL_KILLED, opened

ROUNDS = 6


def acknowledged(url, seconds):
    """What a process said that it had done until it was killed, `seconds` after its first word."""
    command = [sys.executable, "-c", KEYS_UNTIL_KILLED, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}) as process:
        first = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    lines = (first + rest).split(b"\n")[:-1]  # what has no end was not said
    return [json.loads(line) for line in lines]


async def test_a_killed_process_loses_nothing_that_it_acknowledged(url):
    expected = {}
    for number in range(ROUNDS):
        said = acknowledged(url, random.Random(number).uniform(0, 0.3))
        assert said
        expected.update(said)

    async with opened(url, StillClock()) as stored:
        told = stored.snapshot.of(API_KEY_TYPE)
        for key, revoked in expected.items():
            assert (await stored.key(key)).state(0) == (KeyState.REVOKED if revoked else KeyState.ACTIVE)
            assert (key in told) is not revoked
