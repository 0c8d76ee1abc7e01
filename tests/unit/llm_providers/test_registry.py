from dataclasses import replace

import pytest

from llm_providers.chained import Chained
from llm_providers.registry import inbound, needs_translator, provider, providers, translator
from llm_providers.translation import Call
from tests.support.clock import StillClock

CALL = Call(StillClock(), "r1")


def test_providers_are_found_by_folder() -> None:
    assert {name: found.dialect for name, found in providers().items()} == {
        "ollama": "openai",
        "ollama-native": "ollama",
        "openai": "openai",
    }
    assert set(inbound()) == {"ollama"}


@pytest.mark.parametrize(
    ("dialect", "upstream", "needed"),
    [
        ("openai", "openai", False),
        ("openai", "ollama", False),
        ("openai", "ollama-native", True),
        ("ollama", "openai", True),
        ("ollama", "ollama", False),
        ("ollama", "ollama-native", False),
    ],
)
def test_a_translator_stands_only_where_dialects_differ(dialect: str, upstream: str, *, needed: bool) -> None:
    assert needs_translator(dialect, provider(upstream)) is needed
    assert (translator(dialect, provider(upstream), CALL) is not None) is needed


def test_what_is_unknown_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        provider("nobody")
    with pytest.raises(KeyError):
        translator("esperanto", provider("openai"), CALL)


def test_a_client_reaches_a_vendor_of_another_dialect_through_openais_format() -> None:
    vendor = replace(provider("ollama-native"), native=("vendor's own",))

    assert isinstance(translator("ollama", vendor, CALL), Chained)
