"""A gateway before stand-ins of model servers: who may call which model there, and who answers."""

from collections.abc import Mapping
from typing import Any

from tests.support.llm.catalog import GPT, LLAMA, QWEN
from tests.support.llm.ollama_server import OllamaServer
from tests.support.llm.openai_server import OpenAIServer

# Of callers who may call every model, and few.
RICH, POOR = "a-bearer-token-that-may-all-for-tests", "a-bearer-token-that-may-little-for-tests"
# What the gateway itself shows to the stand-in of OpenAI.
KEY = "sk-of-the-gateway-itself"
MOST = 200
# The gateway's name of a model of the cloud.
CLEVER = "org/clever:1"


def before(local: OllamaServer, cloud: OpenAIServer, **changes: Any) -> Mapping[str, Any]:
    """Models of both; what else the configuration has is the test's."""
    return {
        "identity": {
            "bearer_tokens": [
                {"name": "rich", "token": RICH, "plan": "pro"},
                {"name": "poor", "token": POOR, "plan": "free"},
            ]
        },
        "defaults": {"auth": ["bearer"]},
        "plans": {"pro": {"models": ["*"]}, "free": {"models": ["qwen3:*"]}},
        "upstreams": {"local": local_upstream(local), "cloud": cloud_upstream(cloud)},
        "models": [
            {"name": LLAMA, "upstream": "local", "aliases": ["llama"]},
            {"name": QWEN, "upstream": "local"},
            {"name": "nomic-embed-text", "upstream": "local", "apis": ["embeddings"]},
            {"name": CLEVER, "upstream": "cloud", "upstream_model": GPT, "refuse": ["logit_bias"]},
            {"name": "clamped", "upstream": "cloud", "upstream_model": GPT, "max_tokens": MOST,
             "above_max_tokens": "clamp"},
        ],
        "llm": {"default_model": LLAMA},
        **changes,
    }  # fmt: skip


def local_upstream(server: OllamaServer, **changes: Any) -> Mapping[str, Any]:
    return {"url": server.url, "api": "ollama", "health_check": "none", **changes}


def cloud_upstream(server: OpenAIServer, key: str = KEY, **changes: Any) -> Mapping[str, Any]:
    credential = {"header": "authorization", "value": f"Bearer {key}"}
    return {"url": f"{server.url}/v1", "api": "openai", "credential": credential, "health_check": "none", **changes}


def bearer(token: str = RICH) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}"}
