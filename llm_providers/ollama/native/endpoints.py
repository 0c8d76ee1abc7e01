"""OpenAI's endpoints over Ollama's own: what is sent for each, and how the answer is told."""

from collections.abc import Callable, Mapping
from typing import Final

from llm_providers.answers import Reader, Writer
from llm_providers.asked import Asked, Untranslatable
from llm_providers.ollama.errors import stated_failure
from llm_providers.ollama.native.messages import messages, one_prompt, texts_not_tokens, tools
from llm_providers.ollama.native.options import answer_format, keep_alive, options, think
from llm_providers.ollama.reading import chat_reader, embed_reader, generate_reader
from llm_providers.openai.errors import error_body
from llm_providers.openai.writing import (
    CHAT,
    COMPLETION,
    EmbeddingsWriter,
    Shape,
    Stamp,
    StreamWriter,
    WholeWriter,
)
from llm_providers.parameters import Parameters, refuse
from llm_providers.translation import Call, Pair, Plan, Translation, sent

Json = dict[str, object]
SAMPLING: Final = frozenset({
    "model", "stream", "stream_options", "temperature", "top_p", "seed", "stop", "max_tokens", "frequency_penalty",
    "presence_penalty", "options", "keep_alive",
})  # fmt: skip
# Labels, billing and caches of OpenAI's, and hints that only make an answer faster.
DROPPED: Final = frozenset({
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "prediction",
})  # fmt: skip
CHAT_PARAMETERS: Final = Parameters(
    taken=SAMPLING | {"messages", "max_completion_tokens", "response_format", "tools", "reasoning_effort"},
    dropped=DROPPED,
    refused={
        "n": (1,),
        "logprobs": (False,),
        "top_logprobs": (0,),
        "logit_bias": ({},),
        "tool_choice": ("auto", "none"),
        "parallel_tool_calls": (True,),
        "modalities": (["text"],),
        "audio": (),
        "functions": ([],),
        "function_call": ("none",),
        "verbosity": ("medium",),
        "web_search_options": (),
        "moderation": (),
    },
)
COMPLETION_PARAMETERS: Final = Parameters(
    taken=SAMPLING | {"prompt", "suffix"},
    dropped=DROPPED,
    refused={"n": (1,), "best_of": (1,), "echo": (False,), "logprobs": (), "logit_bias": ({},)},
)
EMBEDDING_PARAMETERS: Final = Parameters(
    taken=frozenset({"model", "input", "dimensions", "encoding_format", "options", "keep_alive"}), dropped=DROPPED
)


def _chat(request: Asked, call: Call) -> Plan:
    refuse(CHAT_PARAMETERS.unsupported(request), drop=call.drop_unsupported)
    body = {
        "messages": messages(request),
        **tools(request),
        **answer_format(request),
        **think(request),
    }
    return _plan("/api/chat", body, chat_reader, CHAT, request, call)


def _completion(request: Asked, call: Call) -> Plan:
    refuse(COMPLETION_PARAMETERS.unsupported(request), drop=call.drop_unsupported)
    suffix = request.text("suffix")
    body: Json = {"prompt": one_prompt(request), **({"suffix": suffix} if suffix else {})}
    return _plan("/api/generate", body, generate_reader, COMPLETION, request, call)


def _embeddings(request: Asked, call: Call) -> Plan:
    refuse(EMBEDDING_PARAMETERS.unsupported(request), drop=call.drop_unsupported)
    model, texts = request.required_text("model"), texts_not_tokens(request, "input")
    if not texts:
        raise Untranslatable("input is required", "input", "missing_required_parameter")
    encoding = request.text("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise request.wrong("encoding_format", "float or base64")
    size = request.count("dimensions")
    body = {
        "model": call.model or model,
        "input": texts,
        **({"dimensions": size} if size else {}),
        **options(request),
        **keep_alive(request),
    }
    return Plan(sent("/api/embed", body), embed_reader, EmbeddingsWriter(model, base64=encoding == "base64"))


def _plan(
    path: str,
    body: Mapping[str, object],
    reader: Callable[[str], Reader | None],
    shape: Shape,
    request: Asked,
    call: Call,
) -> Plan:
    model = request.required_text("model")
    stream = bool(request.flag("stream"))
    whole = {"model": call.model or model, **body, **options(request), **keep_alive(request), "stream": stream}
    stamp = Stamp(call.id, model, int(call.clock.now()))
    writer: Writer = (
        StreamWriter(shape, stamp, with_usage=_wants_usage(request)) if stream else WholeWriter(shape, stamp)
    )
    return Plan(sent(path, whole), reader, writer)


def _wants_usage(request: Asked) -> bool:
    wanted = request.object("stream_options")
    return wanted is not None and bool(wanted.flag("include_usage"))


PAIR: Final = Pair(
    endpoints={
        "/v1/chat/completions": _chat,
        "/v1/completions": _completion,
        "/v1/embeddings": _embeddings,
    },
    refusal=error_body,
    stated=stated_failure,
)


def ollama_native(call: Call) -> Translation:
    """The translator for a client of OpenAI's whose upstream speaks Ollama's own API."""
    return Translation(PAIR, call)
