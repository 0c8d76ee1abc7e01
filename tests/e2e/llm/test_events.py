"""What a stream of events tells, as Envoy reads it for models: wherever it is cut, and whatever looks like usage."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from control_plane.compile import compile_file, snapshots
from control_plane.envoy_check import static_bootstrap
from tests.support.asgi_server import asgi_server
from tests.support.compiled import WIRING, config, written
from tests.support.envoy import static_envoy
from tests.support.eventually import until
from tests.support.llm.clients import CHAT
from tests.support.ports import free_port

USAGE = {
    "prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42, "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 7},
}  # fmt: skip
TOLD = (12, 30, 42, 5, 7)
NOTHING = (0, 0, 0, 0, 0)
# Longer than any event of which something is read.
LONG = "x" * 70_000


def event(said: Any, *, end: str = "\n\n", before: str = "") -> bytes:
    return f"{before}data: {json.dumps(said)}{end}".encode()


def says(text: str, **more: Any) -> bytes:
    return event({"choices": [{"delta": {"content": text}}], **more})


def tells(usage: Any = USAGE, choices: Sequence[Any] = (), **more: Any) -> bytes:
    return event({"choices": [*choices], "usage": usage}, **more)


def cut(whole: bytes, size: int) -> list[bytes]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]


WORD, DONE = says("word"), b"data: [DONE]\n\n"


@dataclass
class Stage:
    """An Envoy between a client and a model that says what it is told to, in these pieces."""

    log: Path
    client: httpx.Client
    pieces: Sequence[bytes] = field(default_factory=list)

    def stream(self, *pieces: bytes, asks: bool) -> tuple[bytes, tuple[int, ...]]:
        """What the client got, and what the log says that it came to."""
        self.pieces = pieces
        options = {"stream_options": {"include_usage": True}} if asks else {}
        answer = self.client.post(CHAT, json={"model": "m", "messages": [], "stream": True, **options})
        assert answer.status_code == 200
        row = until(lambda: self._row(answer.headers["x-request-id"]))
        return answer.content, tuple(
            int(row[f"tokens_{name}"]) for name in ("in", "out", "total", "cached", "reasoning")
        )

    def _row(self, request_id: str) -> dict[str, Any] | None:
        rows = map(json.loads, self.log.read_text().splitlines() if self.log.exists() else [])
        return next((row for row in rows if row["request_id"] == request_id), None)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    async def answer(_request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for piece in found.pieces:
                yield piece
                await asyncio.sleep(0.002)  # each by itself, as far as anybody can say

        return StreamingResponse(chunks(), media_type="text/event-stream")

    upstream, port = free_port(), free_port()
    content = config(
        listeners={"public": {"address": f"127.0.0.1:{port}"}},
        upstreams={"model": {"url": f"http://127.0.0.1:{upstream}/v1", "api": "openai", "health_check": "none"}},
        models=[{"name": "m", "upstream": "model"}],
        llm={"auth": "none"},
    )
    with (
        tempfile.TemporaryDirectory(prefix="events") as name,
        asgi_server(Starlette(routes=[Route(CHAT, answer, methods=["POST"])]), upstream),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False, verify=False) as client,
    ):
        found = Stage(Path(name) / "access.log", client)
        gateway = compile_file(written(Path(name), content), {}).gateway
        envoy, _ = snapshots(gateway, replace(WIRING, access_log=str(found.log)))
        with static_envoy(static_bootstrap(envoy), Path(name)):
            yield found


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        pytest.param([WORD, tells(), DONE], TOLD, id="an event a piece"),
        pytest.param([WORD + tells() + DONE], TOLD, id="all at once"),
        pytest.param([WORD, *cut(tells(), 40), DONE], TOLD, id="cut"),
        pytest.param(cut(WORD + tells() + DONE, 7), TOLD, id="cut everywhere"),
        pytest.param([WORD, *cut(tells(), 1)], TOLD, id="each byte by itself"),
        pytest.param([WORD, tells(end="\r\n\r\n"), DONE], TOLD, id="lines of another system"),
        pytest.param([tells({"prompt_tokens": 1}, [{"delta": {}}]), tells()], TOLD, id="the last"),
        pytest.param([says("word", usage=None), tells(), DONE], TOLD, id="none before the last"),
        pytest.param([says('"usage":{"prompt_tokens":9}', finish='\\"usage\\":{'), DONE], NOTHING, id="in a text"),
        pytest.param([says("a", x={"usage": USAGE}, y=[{"usage": USAGE}]), DONE], NOTHING, id="deeper"),
        pytest.param([says("a", usage=[USAGE]), DONE], NOTHING, id="in a list"),
        pytest.param(
            [tells({"prompt_tokens": -3, "completion_tokens": 5e9, "total_tokens": "55"}, [{"delta": {}}])], NOTHING,
            id="no numbers",
        ),
        pytest.param([b": {\nevent: x {\n" + tells(choices=[{"delta": {}}])], TOLD, id="beside other lines"),
        pytest.param([says(LONG), tells(), DONE], TOLD, id="behind a long one"),
        pytest.param([says(LONG + '"usage":{"prompt_tokens":9}'), DONE], NOTHING, id="in a long text"),
        pytest.param([WORD, b"data: {"], NOTHING, id="never finished"),
    ],
)  # fmt: skip
def test_the_usage_is_read(stage: Stage, pieces: list[bytes], told: tuple[int, ...], *, asks: bool) -> None:
    _, counted = stage.stream(*pieces, asks=asks)

    assert counted == told


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_who_asks_for_the_usage_gets_every_byte(stage: Stage, size: int) -> None:
    whole = WORD + says("word", usage=None) + tells() + DONE

    assert stage.stream(*cut(whole, size), asks=True)[0] == whole


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize(
    "unasked", [tells(), tells().replace(b"data: ", b"data:"), tells(end="\r\n\r\n")], ids=["", "no space", "cr"]
)
def test_who_does_not_ask_is_not_told(stage: Stage, unasked: bytes, size: int) -> None:
    rest = says(LONG) + WORD
    said, counted = stage.stream(*cut(WORD, size), rest, *cut(unasked, size), DONE, asks=False)

    assert (said, counted) == (WORD + rest + DONE, TOLD)


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("last", [event({"error": {"message": "broken"}}, end=""), WORD[:-1], b"data: {", b"data:"])
def test_what_nothing_ends_reaches_the_client(stage: Stage, last: bytes, size: int) -> None:
    assert stage.stream(*cut(WORD + last, size), asks=False) == (WORD + last, NOTHING)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_but_not_the_usage_that_nobody_asked_for(stage: Stage, size: int) -> None:
    assert stage.stream(*cut(WORD + tells(end=""), size), asks=False) == (WORD, TOLD)


def test_what_says_more_than_the_usage_goes_to_everybody(stage: Stage) -> None:
    beside = tells(choices=[{"delta": {"content": "word"}}])

    assert stage.stream(beside, DONE, asks=False) == (beside + DONE, TOLD)
