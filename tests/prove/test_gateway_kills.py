"""A gateway of which every process is killed in turn, under load: no request that it let through is forgotten.

Each has a row in the ledger or stands there as unsettled, no counter has less than was let through, and it goes on.
"""

import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import until
from tests.support.kills import LEASE, Load, books, impatient_gateway, killed_in_turn, used
from tests.support.model import running_model

# What is left to be told when nobody calls any more: leases, two looks for them, and the reading of what was found.
TOLD_WITHIN = LEASE + 60.0


def tollgate(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "tollgate_cli", *words, "--state-dir", str(folder / "state")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


async def test_no_request_is_forgotten(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kills, seconds = request.config.getoption("--kills"), request.config.getoption("--kill-seconds")
    chance = random.Random(request.config.getoption("--kills-seed"))
    with running_model() as model, impatient_gateway(model, tmp_path) as gateway:
        load, stopped = Load(gateway.url), asyncio.Event()
        under_load = asyncio.create_task(load.run(stopped, chance))
        killed = await killed_in_turn(gateway, load, kills=kills, seconds=seconds, chance=chance)
        before = load.served
        await asyncio.to_thread(until, lambda: load.served > before + 5, seconds=90)
        stopped.set()
        await under_load

        reached = {headers["x-request-id"] for headers in model.headers}
        let_through = reached | load.ids
        forgotten = await asyncio.to_thread(_forgotten, gateway, let_through)
        print(f"{len(forgotten)} forgotten: {sorted(forgotten)[:5]}")
        quotas = json.loads(tollgate(gateway.folder, "quota", "list", "--consumer", "one", "--json"))["quotas"]
        kept = books(gateway)
        print(f"{killed} kills; {load.ends}; {len(let_through)} requests, {len(reached)} of them at the upstream; "
              f"{len(kept.rows)} rows, {len(kept.unsettled)} unsettled of which {len(kept.unsettled - kept.rows)} "
              f"without a row; tokens: {kept.tokens} in the ledger, {used(quotas, 'tokens')} counted; "
              f"calls counted: {used(quotas, 'requests')}")  # fmt: skip
        verified = tollgate(gateway.folder, "usage", "verify")

    assert killed >= min(kills, 12), "too slow to say anything"
    assert forgotten == set()
    assert used(quotas, "requests") >= len(reached)
    assert used(quotas, "tokens") >= kept.tokens
    assert verified


def _forgotten(gateway, let_through):
    """Ids of which the ledger knows nothing, when nothing more is to come."""

    def missing():
        kept = books(gateway)
        return let_through - kept.rows - kept.unsettled

    try:
        until(lambda: not missing(), seconds=TOLD_WITHIN)
    except AssertionError:
        return missing()
    return set()
