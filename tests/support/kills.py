"""A gateway under load whose processes are killed, and what became of every request that it let through."""

import asyncio
import json
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.gateway import Gateway, running_gateway
from tests.support.model import ANSWER, Model

# A route that is metered, and a model whose clients speak another API than it does.
CHAT, TRANSLATED = "/chat", "/api/chat"
TOKEN = "a-bearer-token-of-somebody-who-insists"
MOST = 100
ASKED: Mapping[str, Mapping[str, Any]] = {
    CHAT: {"max_tokens": MOST},
    TRANSLATED: {"model": "told", "messages": [{"role": "user", "content": "hello"}], "options": {"num_predict": MOST}},
}
# What the command lines of the gateway's processes hold.
PROCESSES = (
    "envoy", "ratelimit_service", "valkey-server", "usage_ledger", "control_plane", "authz_service", "llm_translator"
)  # fmt: skip
WORKERS = 10
# Seconds between two requests of a worker, at most.
PAUSE = 0.2
# Seconds until a kill, at most, while requests are served; so most processes lived ten, and are started again at once.
AMONG_REQUESTS = 3.5
# Seconds within which a gateway answers again.
BACK_WITHIN = 90.0
# Seconds: an hour is longer than anybody wants to wait here for what is never settled.
LEASE = 20
SHORT_LEASE = f"""
import sys

if "ratelimit_service" in sys.orig_argv:
    import ratelimit_service.policy

    ratelimit_service.policy.LEASE_SECONDS = {LEASE}
"""
QUOTA = 10**9


def gateway_config(model: Model) -> dict[str, Any]:
    quotas = [{"usage": usage, "amount": f"{QUOTA}/month"} for usage in ("tokens", "requests")]
    return {
        "defaults": {"auth": ["bearer"]},
        "identity": {"bearer_tokens": [{"name": "one", "token": TOKEN, "consumer": "one"}]},
        "consumers": [{"name": "one", "plan": "large"}],
        "plans": {"large": {"quotas": quotas}},
        "upstreams": {
            "model": {"url": model.url, "health_check": "none"},
            "vendor": {"url": f"{model.url}/v1", "api": "openai", "health_check": "none"},
        },
        "models": [{"name": "told", "upstream": "vendor", "max_tokens": MOST, "price": {"input": 0.5, "output": 1.5}}],
        "routes": [
            {"name": "chat", "match": {"path": CHAT}, "upstream": "model", "streaming": True,
             "tokens": {"api": "chat", "most": MOST, "price": {"input": 0.5, "output": 1.5}}},
        ],
    }  # fmt: skip


@contextmanager
def impatient_gateway(model: Model, folder: Path) -> Iterator[Gateway]:
    """A gateway whose limiter believes that no call takes longer than a few seconds."""
    (folder / "sitecustomize.py").write_text(SHORT_LEASE)
    environ = {"PYTHONPATH": str(folder), "GRPC_ENABLE_FORK_SUPPORT": "0"}
    with running_gateway(gateway_config(model), environ) as gateway:
        yield gateway


@dataclass
class Load:
    """Requests of workers, each with the id that its answer had; how often one was served, and each kind of end."""

    url: str
    ids: set[str] = field(default_factory=set)
    served: int = 0
    ends: dict[str, int] = field(default_factory=dict)

    async def run(self, stopped: asyncio.Event, chance: random.Random) -> None:
        await asyncio.gather(*(self._worker(stopped, chance) for _ in range(WORKERS)))

    async def _worker(self, stopped: asyncio.Event, chance: random.Random) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False) as client:
            while not stopped.is_set():
                await self._request(client, chance.choice((CHAT, TRANSLATED)), streamed=chance.random() < 0.5)
                await asyncio.sleep(chance.uniform(0, PAUSE))

    async def _request(self, client: httpx.AsyncClient, path: str, *, streamed: bool) -> None:
        body = json.dumps({**ASKED[path], "stream": streamed}).encode()
        headers = {
            "authorization": f"Bearer {TOKEN}", "content-type": "application/json",
            ANSWER: "events" if streamed else "json",
        }  # fmt: skip
        end = "broken off"
        with suppress(httpx.HTTPError):
            async with client.stream("POST", path, content=body, headers=headers) as answer:
                self.ids.add(answer.headers["x-request-id"])
                await answer.aread()
                end = str(answer.status_code)
        self.ends[end] = self.ends.get(end, 0) + 1
        self.served += end == "200"


async def killed_in_turn(gateway: Gateway, load: Load, *, kills: int, seconds: float, chance: random.Random) -> int:
    """Kills one process after the other, each as soon as requests are served again; how many it came to in the time."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    for number in range(kills):
        if loop.time() > ends:
            return number
        before = load.served
        await eventually(lambda before=before: load.served > before + 5, within=BACK_WITHIN)
        await asyncio.sleep(chance.uniform(0, AMONG_REQUESTS))
        word = PROCESSES[number % len(PROCESSES)]
        await eventually(lambda word=word: _killed(gateway, word), within=BACK_WITHIN)
        print(f"{loop.time() - ends + seconds:6.1f} s: kill {number + 1}, {word}; {load.ends}", flush=True)
    return kills


def _killed(gateway: Gateway, word: str) -> bool:
    try:
        gateway.kill(word)
    except (LookupError, ProcessLookupError):
        return False
    return True


@dataclass(frozen=True)
class Books:
    """What the ledger has: ids of requests with a row, of those that stand as unsettled, and tokens that both cost."""

    rows: frozenset[str]
    unsettled: frozenset[str]
    tokens: int
    answered: int


def books(gateway: Gateway) -> Books:
    file = gateway.folder / "state" / "ledger.sqlite"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        found = db.execute("SELECT kind, request_id, id, tokens_total, status FROM tollgate_ledger_rows").fetchall()
    calls = {request_id: tokens for kind, request_id, _, tokens, _ in found if kind == "call"}
    lost = {hold: tokens for kind, _, hold, tokens, _ in found if kind != "call"}
    # of a call that is told by both, its own row is what counts
    tokens = sum(calls.values()) + sum(tokens for hold, tokens in lost.items() if hold not in calls)
    answered = sum(status == 200 for kind, _, _, _, status in found if kind == "call")
    return Books(frozenset(calls), frozenset(lost), tokens, answered)


def used(listed: Sequence[Mapping[str, Any]], usage: str) -> int:
    """What a quota stands at, as `tollgate quota list --json` tells it."""
    return next(int(quota["used"]) for quota in listed if quota["usage"] == usage)
