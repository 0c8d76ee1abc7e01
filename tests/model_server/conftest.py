"""A real model server behind a whole gateway: llama.cpp's, by whatever command and with whatever model it is told.

LLAMA_SERVER is that command with its model, such as `llama-server -m tiny.gguf`; one that generates and one that embeds
are started with it, each with a key that only the gateway has.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.eventually import until
from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.gateway import RICH
from tests.support.ports import free_port

COMMAND = "LLAMA_SERVER"
KEY, NOBODYS_KEY = "sk-of-the-gateway-itself", "sk-of-nobody"
START_SECONDS = 120


@dataclass(frozen=True)
class ModelServer:
    url: str
    # The name under which it lists its model.
    model: str


@contextmanager
def running_model_server(model: str, folder: Path, *arguments: str) -> Iterator[ModelServer]:
    port = free_port()
    command = [*shlex.split(os.environ[COMMAND]), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / f"{model}.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--api-key", KEY, "--alias", model, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None, (folder / f"{model}.log").read_text()
        try:
            return httpx.get(f"{url}/health", trust_env=False, verify=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    try:
        until(is_up, seconds=START_SECONDS)
        yield ModelServer(url, model)
    finally:
        process.terminate()
        process.wait(20)


def configuration(writer: ModelServer, embedder: ModelServer) -> Mapping[str, Any]:
    """Models that are written, and one that is discovered; `locked` is asked with a key that is nobody's."""

    def upstream(server: ModelServer, key: str = KEY) -> Mapping[str, Any]:
        credential = {"header": "authorization", "value": f"Bearer {key}"}
        return {"url": f"{server.url}/v1", "api": "openai", "credential": credential, "health_check": "none"}

    return {
        "identity": {"bearer_tokens": [{"name": "rich", "token": RICH, "consumer": "acme"}]},
        "defaults": {"auth": ["bearer"]},
        "consumers": [{"name": "acme", "plan": "counted"}],
        "plans": {"counted": {"quotas": [{"usage": "tokens", "amount": "10000000/month"}]}},
        "upstreams": {
            "writer": upstream(writer),
            "embedder": upstream(embedder),
            "locked": upstream(writer, NOBODYS_KEY),
        },
        "models": [
            {"name": "tale", "upstream": "writer", "upstream_model": writer.model, "aliases": ["story"]},
            {"name": "vectors", "upstream": "embedder", "upstream_model": embedder.model, "apis": ["embeddings"]},
            {"name": "locked", "upstream": "locked", "upstream_model": writer.model},
        ],
        "discovery": {"upstreams": ["writer"]},
        "ledger": {"retention": "90d"},
    }


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("model-server")
    with ExitStack() as stack:
        writer = stack.enter_context(running_model_server("tiny", folder))
        embedder = stack.enter_context(
            running_model_server("tiny-vectors", folder, "--embeddings", "--pooling", "mean")
        )
        yield stack.enter_context(running_gateway(configuration(writer, embedder)))
