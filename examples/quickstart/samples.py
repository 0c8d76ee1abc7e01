"""The requests that the quickstart prints: each one is run by a shell, word for word, before it is shown."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

USER, PASSWORD = "alice", "wonderland"
LONGEST_TRY = 60.0
BEARER = '-H "authorization: Bearer $TOKEN"'
JSON = "-H 'content-type: application/json'"


@dataclass(frozen=True)
class Sample:
    """A request for a person to copy."""

    what: str
    command: str


@dataclass(frozen=True)
class Tried:
    """A request and what came of it."""

    sample: Sample
    failure: str | None


async def login(gateway: str) -> str:
    """A real login through the gateway; the token that it answers with."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.post(f"{gateway}/auth/login", json={"username": USER, "password": PASSWORD})
        return str(answer.raise_for_status().json()["access_token"])


@dataclass(frozen=True)
class Found:
    """A model that chats and one that makes embeddings, as far as the language models' server has them."""

    chat: str | None = None
    embeddings: str | None = None


async def models(gateway: str, token: str) -> Found:
    """The first of each kind; nothing where the server cannot be reached."""
    bearer = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=gateway, headers=bearer, trust_env=False, timeout=10) as client:
        try:
            listed = (await client.get("/v1/models")).raise_for_status().json()["data"]
            can = {model["id"]: await _capabilities(client, model["id"]) for model in listed}
        except (httpx.HTTPError, KeyError, ValueError):
            return Found()
    return Found(*(next((name for name in can if kind in can[name]), None) for kind in ("completion", "embedding")))


async def _capabilities(client: httpx.AsyncClient, model: str) -> list[str]:
    """As Ollama's clients are told."""
    shown = (await client.post("/api/show", json={"model": model})).raise_for_status().json()
    return list(shown["capabilities"])


def samples(gateway: str, admin: str, found: Found) -> tuple[Sample, ...]:
    """The requests for this gateway; without a model there is none to chat with."""
    credentials = json.dumps({"username": USER, "password": PASSWORD})
    return (
        Sample("log in", f"curl -sS {gateway}/auth/login {JSON} -d '{credentials}'"),
        Sample("email agent", _run(gateway, "email", "invite the team to lunch")),
        Sample("rag agent", _run(gateway, "rag", "how do I get access?")),
        Sample("ops agent", _run(gateway, "aiops", "checkout latency")),
        Sample("support agent, no credential", _run(gateway, "support", "my invoice is wrong", credential=False)),
        *_of_models(gateway, found),
        Sample("metrics", f"curl -sS {admin}/metrics"),
    )


def _of_models(gateway: str, found: Found) -> Iterator[Sample]:
    if found.chat:
        hello = {"model": found.chat, "messages": [{"role": "user", "content": "hello"}]}
        yield Sample("models", f"curl -sS {gateway}/v1/models {BEARER}")
        yield Sample("chat, as it streams", _post(gateway, "/v1/chat/completions", {**hello, "stream": True}))
        yield Sample("the same in Ollama's API", _post(gateway, "/api/chat", hello))
    if found.embeddings:
        texts = {"model": found.embeddings, "input": ["my invoice", "the bill"]}
        yield Sample("embeddings", _post(gateway, "/v1/embeddings", texts))


async def tried(sample: Sample, token: str, environ: Mapping[str, str]) -> Tried:
    """The sample, run by a shell as it stands."""
    process = await asyncio.create_subprocess_shell(
        f"{sample.command} --fail -o /dev/null",
        env={**environ, "TOKEN": token},
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
    )
    try:
        _out, errors = await asyncio.wait_for(process.communicate(), LONGEST_TRY)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Tried(sample, f"no answer within {LONGEST_TRY:g} s")
    return Tried(sample, errors.decode(errors="replace").strip() or "refused" if process.returncode else None)


def _run(gateway: str, agent: str, text: str, *, credential: bool = True) -> str:
    bearer = f"{BEARER} " if credential else ""
    return f"curl -sS {gateway}/api/{agent}/run {bearer}{JSON} -d '{json.dumps({'input': text})}'"


def _post(gateway: str, path: str, body: Mapping[str, object]) -> str:
    return f"curl -sSN {gateway}{path} {BEARER} {JSON} -d '{json.dumps(body)}'"
