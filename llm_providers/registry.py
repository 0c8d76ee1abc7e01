"""The providers and the clients' dialects, found by folder: a new vendor is one folder and nothing else.

A subpackage brings `PROVIDERS`, and `INBOUND` if it also brings a dialect of clients over OpenAI's format.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType, ModuleType

import llm_providers
from llm_providers.chained import chained
from llm_providers.provider import OPENAI, LLMProvider
from llm_providers.translation import Call, Translator


@cache
def providers() -> Mapping[str, LLMProvider]:
    """All providers by name, in the order of their folders."""
    found = [provider for folder in _folders() for provider in getattr(folder, "PROVIDERS", ())]
    by_name = {provider.name: provider for provider in found}
    if len(by_name) != len(found):
        raise ValueError("two providers have the same name")
    return MappingProxyType(by_name)


@cache
def inbound() -> Mapping[str, Callable[[Call], Translator]]:
    """Translators to OpenAI's format, by the dialect of the client."""
    return MappingProxyType(
        {dialect: translator for folder in _folders() for dialect, translator in getattr(folder, "INBOUND", {}).items()}
    )


def provider(name: str) -> LLMProvider:
    """The provider of that name; KeyError for a name that none has."""
    return providers()[name]


def needs_translator(dialect: str, upstream: LLMProvider) -> bool:
    return dialect not in upstream.native


def translator(dialect: str, upstream: LLMProvider, call: Call) -> Translator | None:
    """The translator for a client's call; None where it passes as it is. KeyError for a dialect that is unknown."""
    if not needs_translator(dialect, upstream):
        return None
    inner = upstream.from_openai(call) if upstream.from_openai else None
    if dialect == OPENAI:
        return inner
    outer = inbound()[dialect](call)
    return chained(outer, inner) if inner else outer


def _folders() -> list[ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(llm_providers.__path__) if module.ispkg)
    return [importlib.import_module(f"{llm_providers.__name__}.{name}") for name in names]
