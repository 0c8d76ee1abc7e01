"""Which fields of bodies are read into which metadata, for every API alike: what a route makes of them is its own.

Texts and truth values where a number belongs stay what they are, for the guard to refuse. Null, lists and mappings
count as missing: that is how `json_to_metadata` reads. It sets a value of `on_present` also where nothing is present,
so no rule has one.
"""

from collections.abc import Iterable
from typing import Final

from envoy_data_plane.envoy.extensions.filters.http.json_to_metadata.v3 import (
    JsonToMetadataKeyValuePair,
    JsonToMetadataRule,
    JsonToMetadataSelector,
    JsonToMetadataValueType,
)
from envoy_data_plane.google.protobuf import Value

from service_kit import contract

MODEL, STREAM, PROMPT, OTHER = "model", "stream", "prompt", "other"
# What Ollama's older clients say in place of `model` where they ask about one.
NAME = "name"
STREAM_OPTIONS, INCLUDE_USAGE = "stream_options", "include_usage"
# Names by which some servers take a number of tokens or answers that is held for nobody.
OTHER_NAMES: Final = ("best_of", "n_cmpl", "n_predict", "max_new_tokens", "max_output_tokens", "N")
OPTIONS, NUM_PREDICT = "options", "num_predict"
NO, ONE = Value(bool_value=False), Value(number_value=1.0)


def asked() -> list[JsonToMetadataRule]:
    """Of requests. That a body was read at all shows in what is also written where it is missing."""
    outputs = {name: (name,) for name in contract.NUMBERS_OUTPUT} | {NUM_PREDICT: (OPTIONS, NUM_PREDICT)}
    return [
        _rule((MODEL,), MODEL, as_type=JsonToMetadataValueType.STRING),
        _rule((NAME,), NAME, as_type=JsonToMetadataValueType.STRING),
        _rule((STREAM,), STREAM, missing=NO),
        _rule((STREAM_OPTIONS, INCLUDE_USAGE), INCLUDE_USAGE),
        _rule((PROMPT,), PROMPT),
        _rule((contract.NUMBER_ANSWERS,), contract.NUMBER_ANSWERS, missing=ONE),
        *(_rule(path, name) for name, path in outputs.items()),
        *(_rule((name,), OTHER) for name in OTHER_NAMES),
    ]


def used() -> list[JsonToMetadataRule]:
    """Of answers and of each event of a stream: OpenAI's names, and Ollama's. The last that is told stands."""
    places = (
        (("usage", "prompt_tokens"), "input"),
        (("usage", "completion_tokens"), "output"),
        (("usage", "total_tokens"), "total"),
        (("usage", "prompt_tokens_details", "cached_tokens"), "cached"),
        (("usage", "completion_tokens_details", "reasoning_tokens"), contract.NUMBER_REASONING),
        (("prompt_eval_count",), "input"),
        (("eval_count",), "output"),
    )
    number = JsonToMetadataValueType.NUMBER
    return [_rule(path, name, contract.USAGE_NAMESPACE, as_type=number) for path, name in places]


def _rule(
    path: Iterable[str],
    name: str,
    namespace: str = contract.LLM_NAMESPACE,
    *,
    missing: Value | None = None,
    as_type: JsonToMetadataValueType = JsonToMetadataValueType.PROTOBUF_VALUE,
) -> JsonToMetadataRule:
    pair = JsonToMetadataKeyValuePair(metadata_namespace=namespace, key=name, type=as_type)
    otherwise = JsonToMetadataKeyValuePair(metadata_namespace=namespace, key=name, value=missing)
    return JsonToMetadataRule(
        selectors=[JsonToMetadataSelector(key=key) for key in path],
        on_present=pair,
        on_missing=None if missing is None else otherwise,
    )
