"""The endpoints of language models: their paths, whose API each is of, and which models are called there."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import re2

from control_plane.config import model as config
from control_plane.ir.model import Api, Dialect

# How all paths of a dialect begin.
BEGINNINGS: Final = {Dialect.OPENAI: "/v1", Dialect.OLLAMA: "/api"}


@dataclass(frozen=True)
class Endpoint:
    """Where models are called; one that has any of the `apis` is."""

    name: str
    path: str
    dialect: Dialect
    fields: Api
    apis: tuple[config.LlmApi, ...]


ENDPOINTS: Final = (
    Endpoint("chat", "/v1/chat/completions", Dialect.OPENAI, Api.CHAT, ("chat",)),
    Endpoint("completions", "/v1/completions", Dialect.OPENAI, Api.COMPLETIONS, ("completions",)),
    Endpoint("embeddings", "/v1/embeddings", Dialect.OPENAI, Api.EMBEDDINGS, ("embeddings",)),
    Endpoint("ollama-chat", "/api/chat", Dialect.OLLAMA, Api.OLLAMA, ("chat",)),
    Endpoint("ollama-generate", "/api/generate", Dialect.OLLAMA, Api.OLLAMA, ("chat", "completions")),
    Endpoint("ollama-embed", "/api/embed", Dialect.OLLAMA, Api.EMBEDDINGS, ("embeddings",)),
    # What `embed` was before; some clients have not heard of it.
    Endpoint("ollama-embeddings", "/api/embeddings", Dialect.OLLAMA, Api.EMBEDDINGS, ("embeddings",)),
)
ROOT: Final = "/"
LIST: Final = "/v1/models"
METADATA: Final = "/v1/metadata"
TAGS: Final = "/api/tags"
SHOW: Final = "/api/show"
VERSION: Final = "/api/version"
RUNNING: Final = "/api/ps"
# What changes the models of an Ollama, and is no client's to ask for.
NOT_OFFERED: Final = ("pull", "push", "create", "copy", "delete", "blobs")
# Of those, what has paths below it.
NOT_OFFERED_BELOW: Final = ("/api/blobs",)


def endpoints(llm: config.Llm) -> tuple[Endpoint, ...]:
    """Those that this gateway has."""
    return tuple(item for item in ENDPOINTS if llm.ollama or item.dialect is Dialect.OPENAI)


def told(llm: config.Llm) -> tuple[str, ...]:
    """Where this gateway tells of its models."""
    return (LIST, *((TAGS, SHOW, VERSION, RUNNING) if llm.ollama else ()))


def has_models(source: config.Config) -> bool:
    """Whether there are endpoints at all."""
    return bool(source.models) or source.discovery is not None


def paths(source: config.Config) -> tuple[str, ...]:
    """Every path that is answered since there are models; what begins like LIST belongs to it, too."""
    if not has_models(source):
        return ()
    called = (item.path for item in endpoints(source.llm))
    not_offered = (f"/api/{word}" for word in NOT_OFFERED) if source.llm.ollama else ()
    return (*called, *told(source.llm), METADATA, *not_offered)


def root_is_taken(source: config.Config) -> bool:
    """Whether a route is written that takes `/` on any host."""
    return any(not route.match.hosts and _takes_root(route.match) for route in source.routes)


def _takes_root(match: config.Match) -> bool:
    return match.path in (ROOT, "/*") if match.path_regex is None else _matches_root(match.path_regex)


@lru_cache(maxsize=1024)  # looked at with every edit
def _matches_root(expression: str) -> bool:
    return re2.fullmatch(expression, ROOT) is not None
