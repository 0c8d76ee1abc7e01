"""Which pair a call is of, by what Envoy says of it."""

import pytest

from llm_providers.translation import Call
from llm_translator.target import Misdirected, Target, target
from service_kit.contract import (
    TRANSLATED_DIALECT,
    TRANSLATED_LENGTH,
    TRANSLATED_MODEL,
    TRANSLATED_PROVIDER,
    TRANSLATED_USAGE,
    UNASKED,
)
from tests.support.clock import StillClock

PAIR = {TRANSLATED_DIALECT: "openai", TRANSLATED_PROVIDER: "ollama-native"}


def test_it_is_read_of_the_metadata():
    assert target({**PAIR, "user-agent": "envoy"}) == Target("openai", "ollama-native")
    assert target({**PAIR, TRANSLATED_MODEL: "m"}) == Target("openai", "ollama-native", "m")
    assert target({**PAIR, TRANSLATED_LENGTH: "words"}) == Target("openai", "ollama-native", length="words")
    assert target({**PAIR, TRANSLATED_USAGE: UNASKED}) == Target("openai", "ollama-native", asks_usage=False)


@pytest.mark.parametrize("name", [TRANSLATED_DIALECT, TRANSLATED_PROVIDER])
@pytest.mark.parametrize("changed", [None, ""], ids=["missing", "empty"])
def test_what_is_missing_is_named(name, changed):
    metadata = {key: value for key, value in PAIR.items() if key != name}
    with pytest.raises(Misdirected, match=name):
        target(metadata if changed is None else {**metadata, name: changed})


@pytest.mark.parametrize(
    "pair", [Target("openai", "nobody"), Target("nobody", "openai"), Target("openai", "openai")],
    ids=["provider", "dialect", "native"],
)  # fmt: skip
def test_a_pair_that_is_none(pair):
    with pytest.raises(Misdirected):
        pair.translator(Call(StillClock(), "1"))
