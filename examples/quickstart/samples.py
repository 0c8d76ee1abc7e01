"""The requests that the quickstart prints: each one is run by a shell, word for word, before it is shown."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
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


async def first_model(gateway: str, token: str) -> str | None:
    """A model that the backend has; None where it has none, or cannot be reached."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        try:
            answer = await client.get(f"{gateway}/v1/models", headers={"authorization": f"Bearer {token}"})
            models = answer.raise_for_status().json()["data"] or []
        except (httpx.HTTPError, KeyError, ValueError):
            return None
    return str(models[0]["id"]) if models else None


def samples(gateway: str, admin: str, model: str | None) -> tuple[Sample, ...]:
    """The requests for this gateway; without a model there is none to chat with."""
    credentials = json.dumps({"username": USER, "password": PASSWORD})
    chat = () if model is None else (Sample("chat, as it streams", _chat(gateway, model)),)
    return (
        Sample("log in", f"curl -sS {gateway}/auth/login {JSON} -d '{credentials}'"),
        Sample("email agent", _run(gateway, "email", "invite the team to lunch")),
        Sample("rag agent", _run(gateway, "rag", "how do I get access?")),
        Sample("ops agent", _run(gateway, "aiops", "checkout latency")),
        Sample("support agent, no credential", _run(gateway, "support", "my invoice is wrong", credential=False)),
        *chat,
        Sample("metrics", f"curl -sS {admin}/metrics"),
    )


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


def _chat(gateway: str, model: str) -> str:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    return f"curl -sSN {gateway}/v1/chat/completions {BEARER} {JSON} -d '{json.dumps(body)}'"
