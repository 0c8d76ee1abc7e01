"""Ollama's endpoints over OpenAI's: what is sent for each, and how the answer is told."""

from collections.abc import Callable
from typing import Final

from llm_providers.answers import Reader, Writer
from llm_providers.asked import Asked
from llm_providers.json_text import json_bytes
from llm_providers.ollama.errors import error_body
from llm_providers.ollama.inbound.messages import content, messages, tools
from llm_providers.ollama.inbound.options import (
    load_reason,
    reasoning_effort,
    response_format,
    sampling,
    unsupported_options,
)
from llm_providers.ollama.writing import (
    EmbedWriter,
    LinesWriter,
    Place,
    WholeWriter,
    as_message,
    as_response,
    loaded,
    watch,
)
from llm_providers.openai.errors import stated_failure
from llm_providers.openai.reading import chat_reader, completion_reader, embeddings_reader
from llm_providers.parameters import Parameters, refuse
from llm_providers.translation import Answered, Call, Pair, Plan, Translation, sent

Json = dict[str, object]
CHAT_PATH: Final = "/v1/chat/completions"
COMPLETIONS_PATH: Final = "/v1/completions"
EMBEDDINGS_PATH: Final = "/v1/embeddings"
# keep_alive is about a machine of Ollama's; truncate and shift are about its context, which is the upstream's matter
DROPPED: Final = frozenset({"keep_alive", "truncate", "shift"})
NOT_KEPT: Final = {"logprobs": (False,), "top_logprobs": (0,), "_debug_render_only": (False,)}
CHAT: Final = Parameters(
    taken=frozenset({"model", "messages", "stream", "options", "format", "tools", "think"}),
    dropped=DROPPED,
    refused=NOT_KEPT,
)
GENERATE: Final = Parameters(
    taken=frozenset({"model", "prompt", "suffix", "system", "images", "stream", "options", "format", "think", "raw"}),
    dropped=DROPPED,
    # a template and a context of token ids mean something to the model's own machine only
    refused={**NOT_KEPT, "template": ("",), "context": ([],)},
)
# A completion has no roles, so there is no place for these.
COMPLETION: Final = Parameters(
    taken=frozenset({"model", "prompt", "suffix", "stream", "options", "raw"}),
    dropped=DROPPED,
    refused={
        **GENERATE.refused, "system": ("",), "images": ([],), "format": ("",), "think": (False,),
    },
)  # fmt: skip
EMBED: Final = Parameters(
    taken=frozenset({"model", "input", "dimensions"}), dropped=frozenset({"keep_alive", "truncate", "options"})
)
EMBEDDINGS: Final = Parameters(taken=frozenset({"model", "prompt"}), dropped=frozenset({"keep_alive", "options"}))


def _chat(request: Asked, call: Call) -> Plan | Answered:
    model = request.required_text("model")
    if not request.objects("messages"):
        return Answered(loaded(model, as_message, load_reason(request), call.clock))
    _refuse(CHAT, request, call)
    body = {"messages": messages(request), **tools(request), **_common(request, call)}
    return _plan(CHAT_PATH, body, chat_reader, as_message, request, call)


def _generate(request: Asked, call: Call) -> Plan | Answered:
    model, prompt = request.required_text("model"), request.text("prompt")
    if not prompt:
        return Answered(loaded(model, as_response, load_reason(request), call.clock))
    if request.flag("raw") or request.text("suffix"):
        return _completion(request, prompt, call)
    _refuse(GENERATE, request, call)
    system = request.text("system")
    said: list[Json] = [{"role": "system", "content": system}] if system else []
    said.append({"role": "user", "content": content(request, prompt)})
    return _plan(CHAT_PATH, {"messages": said, **_common(request, call)}, chat_reader, as_response, request, call)


def _completion(request: Asked, prompt: str, call: Call) -> Plan:
    """A prompt that no chat may be made of: it is raw, or the model shall fill in before a suffix."""
    _refuse(COMPLETION, request, call)
    suffix = request.text("suffix")
    body = {"prompt": prompt, **({"suffix": suffix} if suffix else {}), **sampling(request, "max_tokens")}
    return _plan(COMPLETIONS_PATH, body, completion_reader, as_response, request, call)


def _embed(request: Asked, call: Call) -> Plan | Answered:
    model, texts = request.required_text("model"), request.texts("input")
    _refuse(EMBED, request, call)
    if not texts or texts == [""]:
        return Answered(json_bytes({"model": model, "embeddings": []}))
    size = request.count("dimensions")
    body: Json = {"input": texts, **({"dimensions": size} if size else {})}
    return _embedding_plan(body, request, call, legacy=False)


def _embeddings(request: Asked, call: Call) -> Plan | Answered:
    request.required_text("model")
    prompt = request.text("prompt")
    _refuse(EMBEDDINGS, request, call)
    if not prompt:
        return Answered(json_bytes({"embedding": []}))
    return _embedding_plan({"input": prompt}, request, call, legacy=True)


def _refuse(parameters: Parameters, request: Asked, call: Call) -> None:
    sampled = unsupported_options(request) if "options" in parameters.taken else []
    refuse(parameters.unsupported(request) + sampled, drop=call.drop_unsupported)


def _common(request: Asked, call: Call) -> Json:
    return {**sampling(request, call.length), **response_format(request), **reasoning_effort(request)}


def _plan(
    path: str, body: Json, reader: Callable[[str], Reader | None], place: Place, request: Asked, call: Call
) -> Plan:
    model = request.required_text("model")
    stream = request.flag("stream") is not False
    usage: Json = {"stream_options": {"include_usage": True}} if stream and call.asks_usage else {}
    timed = watch(call.clock)
    writer: Writer = LinesWriter(model, place, timed) if stream else WholeWriter(model, place, timed)
    return Plan(sent(path, {"model": call.model or model, **body, "stream": stream, **usage}), reader, writer)


def _embedding_plan(body: Json, request: Asked, call: Call, *, legacy: bool) -> Plan:
    model = request.required_text("model")
    whole = {"model": call.model or model, **body, "encoding_format": "float"}
    return Plan(sent(EMBEDDINGS_PATH, whole), embeddings_reader, EmbedWriter(model, watch(call.clock), legacy=legacy))


PAIR: Final = Pair(
    endpoints={
        "/api/chat": _chat,
        "/api/generate": _generate,
        "/api/embed": _embed,
        "/api/embeddings": _embeddings,
    },
    refusal=error_body,
    stated=stated_failure,
)


def ollama_inbound(call: Call) -> Translation:
    """The translator for a client of Ollama's whose upstream speaks OpenAI's format."""
    return Translation(PAIR, call)
