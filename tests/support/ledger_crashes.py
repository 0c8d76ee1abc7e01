"""A ledger whose process is killed at moments that nobody chose, while its log is written and rotated."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.support.ledger import Ledger, metered, row, unsettled

# Reads in small steps, so that a kill finds it anywhere in one.
TAIL = """
import sys
from pathlib import Path
from tests.support.ledger import Ledger
import usage_ledger.files

usage_ledger.files.CHUNK = 2000
ledger = Ledger(Path(sys.argv[1]), sys.argv[2])
tail = ledger.tail()
while True:
    tail.step()
"""


def killed_while_reading(ledger: Ledger, seconds: float) -> None:
    command = [sys.executable, "-c", TAIL, ledger.folder, ledger.url]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "."}, stderr=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


def prove(folder: Path, url: str, *, rounds: int, chance: random.Random) -> None:
    """Every row is there once, its hold charged once, and the chain whole, after so many kills."""
    ledger = Ledger(folder, url)
    wanted: Counter[str] = Counter()
    for number in range(rounds):
        numbers = range(number * 100, number * 100 + 100)
        ledger.tell(*(unsettled(n) for n in numbers if n % 20 == 0))
        rows = [metered(n) if n % 10 == 0 else row(n) for n in numbers]
        ledger.write(*rows)
        wanted.update(item["request_id"] for item in rows)
        _rotate(ledger, chance)
        # Interpreters take a moment to start; most of the time it is in the middle of its work.
        killed_while_reading(ledger, chance.uniform(0.2, 1.2))
    ledger.read()

    assert ledger.calls() == wanted
    assert ledger.sums()[()]["calls"] == len(wanted)
    assert ledger.sums()[()]["unsettled"] == 0
    assert ledger.sums()[()]["amount"] == 70_000 * len([n for n in range(rounds * 100) if n % 10 == 0])
    assert ledger.verified().findings == ()


def _rotate(ledger: Ledger, chance: random.Random) -> None:
    if chance.random() < 0.5:
        ledger.log.rename(ledger.log.with_name(f"access.log.{len(list(ledger.folder.iterdir()))}"))
