"""What a vendor is to the gateway: its dialect, where its models and its health are, and how calls are translated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llm_providers.json_text import json_bytes
from llm_providers.models import Listed, Model
from llm_providers.translation import Call, Translator

OPENAI: Final = "openai"
OLLAMA: Final = "ollama"


class Undiscoverable(ValueError):  # noqa: N818 - named for what is wrong with the answer
    """An upstream's list of models that cannot be read."""


@dataclass(frozen=True)
class Discovery:
    """A request for the list of models, and how its answer is read; `parse` raises Undiscoverable."""

    path: str
    parse: Callable[[bytes], Listed]


@dataclass(frozen=True)
class Details:
    """A request for more about one model, by POST, and how its answer adds to what the list said."""

    path: str
    body: Callable[[Model], bytes]
    parse: Callable[[Model, bytes], Model]


@dataclass(frozen=True)
class Credential:
    """The header that carries a key, and what stands before it."""

    header: str = "authorization"
    prefix: str = "Bearer "


@dataclass(frozen=True)
class LLMProvider:
    """A vendor under its word in `upstreams.*.api`.

    Clients whose dialect stands in `native` are passed on as they are. `from_openai` brings OpenAI's format to a vendor
    that does not speak it; other dialects go through OpenAI's format.
    """

    name: str
    dialect: str
    health: str
    discovery: Discovery
    native: tuple[str, ...]
    from_openai: Callable[[Call], Translator] | None = None
    details: Details | None = None
    credential: Credential = Credential()


def named_body(model: Model) -> bytes:
    return json_bytes({"model": model.name})
