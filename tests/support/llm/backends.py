"""A gateway before each kind of backend, for what clients do alike with all of them.

`near` is an Ollama called by either of its APIs, `own` one that is called by its own alone, `far` speaks OpenAI's API:
OpenAI's clients are translated to `own`, and Ollama's to `far`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.support.gateway import Gateway, running_gateway
from tests.support.llm.catalog import GPT, LLAMA, QWEN
from tests.support.llm.gateway import KEY, POOR, RICH, cloud_upstream, local_upstream
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer

NEAR, OWN, FAR = "near", "own", "far"
BACKENDS: Final = (NEAR, OWN, FAR)
# What a model there is good for, by the end of its name.
SEEING, THINKING, EMBEDDING, WRITING = "-seeing", "-thinking", "-embedding", "-writing"
UPSTREAM_MODELS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {NEAR: LLAMA, OWN: LLAMA, FAR: GPT},
    SEEING: {NEAR: "llava:7b", OWN: "llava:7b", FAR: GPT},
    THINKING: {NEAR: QWEN, OWN: QWEN, FAR: "o4-mini"},
    EMBEDDING: {NEAR: "nomic-embed-text", OWN: "nomic-embed-text", FAR: "text-embedding-3-small"},
    WRITING: {NEAR: LLAMA, OWN: LLAMA, FAR: "gpt-3.5-turbo-instruct"},
}
APIS: Final = {EMBEDDING: ["embeddings"], WRITING: ["completions"]}


@dataclass(frozen=True)
class Backends:
    """The gateway and who stands behind it."""

    gateway: Gateway
    local: OllamaServer
    cloud: OpenAIServer

    def server(self, backend: str) -> OllamaServer | OpenAIServer:
        return self.cloud if backend == FAR else self.local

    def forget(self) -> None:
        self.local.forget()
        self.cloud.forget()


@contextmanager
def running_backends() -> Iterator[Backends]:
    with (
        OllamaServer() as local,
        OpenAIServer(keys=[KEY]) as cloud,
        running_gateway(_config(local, cloud)) as gateway,
    ):
        yield Backends(gateway, local, cloud)


def _config(local: OllamaServer, cloud: OpenAIServer) -> Mapping[str, Any]:
    models = [
        {"name": f"{backend}{use}", "upstream": backend, "upstream_model": name, "apis": APIS.get(use, ["chat"])}
        for use, names in UPSTREAM_MODELS.items()
        for backend, name in names.items()
    ]
    tokens = [{"name": "rich", "token": RICH, "plan": "pro"}, {"name": "poor", "token": POOR, "plan": "none"}]
    return {
        "identity": {"bearer_tokens": tokens},
        "defaults": {"auth": ["bearer"]},
        "plans": {"pro": {"models": ["*"]}, "none": {"models": []}},
        "upstreams": {
            NEAR: local_upstream(local),
            OWN: local_upstream(local, api="ollama-native"),
            FAR: cloud_upstream(cloud),
        },
        "models": models,
    }
