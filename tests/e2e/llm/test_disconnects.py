"""Clients that leave streams of language models at any point: each call is settled and in the ledger, once.

Of a stream that told its usage the ledger knows that; of any other what docs/metering.md says of estimates.
"""

import json
import random
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.test_tokens import data
from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.calls import Answer, Outcome
from tests.support.llm.catalog import GPT, LLAMA
from tests.support.llm.clients import CHAT, HELLO, OLLAMA_CHAT
from tests.support.llm.gateway import cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer
from tests.support.llm.script import Script
from tests.support.llm.stand_in import SCRIPT, StandIn
from tests.support.llm.tokens import words

SEED, STREAMS, AT_ONCE = 7, 50, 5
# Of a whole answer, and how fast they come.
TOKENS, PACE = 40, 0.004
# Who is asked in which API: as they come, and translated.
WAYS = ((CHAT, "openai"), (CHAT, "ollama"), (OLLAMA_CHAT, "ollama"), (CHAT, "ollamas-own"), (OLLAMA_CHAT, "openai"))
# What of a stream says that its usage has passed.
TOLD = {CHAT: rb'"usage":\{', OLLAMA_CHAT: rb'"done":true'}
WORD = re.compile(rb'word\d+ "')
# A token for so many bytes of the request; events without a token; and what is counted ahead, as a part of the rest.
BYTES_A_TOKEN, WORDLESS, AHEAD = 4, 2, 16


@dataclass(frozen=True)
class Leaving:
    """A stream, how it is said, and when its client leaves it: once it has seen what this matches."""

    name: str
    path: str
    model: str
    script: Script
    seen: re.Pattern[bytes]
    # Tokens that are said before the client leaves, where that is known.
    tokens: int | None = None

    @property
    def body(self) -> bytes:
        options = {"stream_options": {"include_usage": True}} if self.tells and self.path == CHAT else {}
        return json.dumps({"model": self.model, "messages": HELLO, "stream": True, **options}).encode()

    @property
    def tells(self) -> bool:
        return self.tokens == TOKENS

    @property
    def request(self) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1", "host: gateway", f"authorization: Bearer {token_of(self.name)}",
            f"{SCRIPT}: {self.name}", "content-type: application/json", f"content-length: {len(self.body)}", "", "",
        )  # fmt: skip
        return "\r\n".join(head).encode() + self.body


def token_of(name: str) -> str:
    return f"a-bearer-token-of-{name}-for-tests"


def leavings() -> Iterator[Leaving]:
    """Of each way as many: before the first byte, behind the usage, behind a token, and in the middle of anything."""
    chance = random.Random(SEED)
    for number in range(STREAMS):
        turn, (path, model) = number // len(WAYS), WAYS[number % len(WAYS)]
        script = Script(text=words(TOKENS), pace=PACE)
        if turn == 0:
            tokens, seen, script = 0, b"", Script(gate=threading.Event())
        elif turn == 1:
            tokens, seen = TOKENS, TOLD[path]
        elif turn % 2:
            tokens, seen = None, b"(?s).{%d}" % chance.randrange(1, 4000)
        else:
            tokens = chance.randrange(1, TOKENS)
            seen = b'word%d "' % tokens
            script = Script(text=words(TOKENS), gates={tokens: threading.Event()})
        yield Leaving(f"call-{number:02}", path, model, script, re.compile(seen), tokens)


LEAVINGS = tuple(leavings())


@pytest.fixture(scope="module")
def running(local: OllamaServer, cloud: OpenAIServer) -> Iterator[Gateway]:
    """Each stream is a consumer of its own."""
    names = [leaving.name for leaving in LEAVINGS]
    config = {
        "identity": {
            "bearer_tokens": [{"name": name, "token": token_of(name), "consumer": name} for name in names],
        },
        "defaults": {"auth": ["bearer"]},
        "consumers": [{"name": name, "plan": "counted"} for name in names],
        "plans": {"counted": {"quotas": [{"usage": "tokens", "amount": "100000/month"}]}},
        "upstreams": {
            "local": local_upstream(local), "own": local_upstream(local, api="ollama-native"),
            "cloud": cloud_upstream(cloud),
        },
        "models": [
            {"name": "ollama", "upstream": "local", "upstream_model": LLAMA},
            {"name": "ollamas-own", "upstream": "own", "upstream_model": LLAMA},
            {"name": "openai", "upstream": "cloud", "upstream_model": GPT},
        ],
        "ledger": {"retention": "90d"},
    }  # fmt: skip
    with running_gateway(config) as gateway:
        yield gateway


def leave(gateway: Gateway, leaving: Leaving, server: StandIn) -> bytes:
    """Calls, reads until it has seen enough, and is gone; what it saw of the body."""
    came = seen = b""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(leaving.request)
        until(lambda: any(call.headers.get(SCRIPT) == leaving.name for call in server.calls))
        while not leaving.seen.search(seen):
            more = client.recv(256)
            assert more, f"{leaving.name} ended: {seen!r}"
            came += more  # the head may come by itself
            seen = came.partition(b"\r\n\r\n")[2]
    return seen


def answers_of(*servers: StandIn) -> Mapping[str, Answer]:
    return {call.headers[SCRIPT]: call.answer for server in servers for call in server.calls if call.model}


def in_ledger(gateway: Gateway) -> Mapping[str, Any]:
    lines = data(gateway, "usage", "--by", "consumer")["usage"]
    return {line["consumer"]: line for line in lines if line["calls"]}


def counted(gateway: Gateway, name: str) -> tuple[int, int]:
    """What a quota stands at, and how much of it calls under way hold."""
    (quota,) = data(gateway, "quota", "list", "--consumer", name)["quotas"]
    return int(quota["used"]), int(quota["held"])


def test_each_of_50_that_are_left_is_settled_and_kept_once(
    gateway: Gateway, local: OllamaServer, cloud: OpenAIServer
) -> None:
    for leaving in LEAVINGS:
        for server in (local, cloud):
            server.plays_always(leaving.script, name=leaving.name)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = pool.map(lambda found: leave(gateway, found, cloud if found.model == "openai" else local), LEAVINGS)
        saw = {leaving.name: len(WORD.findall(text)) for leaving, text in zip(LEAVINGS, seen, strict=True)}

    rows = until(lambda: found if len(found := in_ledger(gateway)) == STREAMS else None)
    answers = answers_of(local, cloud)
    for leaving in LEAVINGS:
        row, answer = rows[leaving.name], answers[leaving.name]
        assert (row["calls"], row["unsettled"], row["estimated"]) == (1, 0, int(not leaving.tells)), leaving
        until(lambda: answer.outcome is not Outcome.PENDING)  # noqa: B023 - asked at once
        if leaving.tells:
            assert answer.truth is not None
            assert (row["tokens_in"], row["tokens_out"]) == (answer.truth.prompt, answer.truth.completion)
            continue
        assert answer.outcome is Outcome.LEFT, "the upstream was told to stop"
        assert row["tokens_in"] == -(-len(leaving.body) // BYTES_A_TOKEN)
        assert row["tokens_out"] <= (answer.sent + WORDLESS) * (1 + 1 / AHEAD) if answer.sent else 1, leaving
        assert row["tokens_out"] >= saw[leaving.name], leaving
        assert leaving.tokens in (None, answer.sent), leaving
    for name, row in rows.items():
        assert until(lambda: found if (found := counted(gateway, name))[1] == 0 else None) == (  # noqa: B023 - the same
            row["tokens_in"] + row["tokens_out"],
            0,
        )
    assert data(gateway, "usage", "verify")["findings"] == []
