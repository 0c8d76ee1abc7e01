"""What becomes of `options`, `format`, `think` and `keep_alive` of Ollama's clients over OpenAI's format."""

import re
from collections.abc import Mapping
from typing import Final

from llm_providers.asked import Asked, Untranslatable
from llm_providers.parameters import Parameters

# Ollama's name, OpenAI's name.
NUMBERS: Final = (
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
)
OPTIONS: Final = Parameters(
    taken=frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "stop", "num_predict"}),
    dropped=frozenset({
        # what runs the model, and how fast
        "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock", "low_vram", "numa", "f16_kv",
        "vocab_only", "logits_all", "embedding_only", "draft_num_predict", "num_gqa",
        # the size of the context is the upstream's to decide, and with it what is kept of a prompt that is too long
        "num_ctx", "num_keep",
    }),
    refused={
        "top_k": (0,),
        "min_p": (0,),
        "typical_p": (1,),
        "tfs_z": (1,),
        "repeat_penalty": (1,),
        "repeat_last_n": (0,),
        "mirostat": (0,),
        "mirostat_tau": (),
        "mirostat_eta": (),
        "penalize_newline": (),
    },
)  # fmt: skip
EFFORTS: Final[Mapping[object, str]] = {
    "low": "low", "medium": "medium", "high": "high", "max": "xhigh",
}  # fmt: skip
# Go's durations: "5m", "1h30m", "0s", "-1ms"; nothing but noughts is nought.
NOUGHT: Final = re.compile(r"[+-]?(?:0+(?:\.0*)?(?:ns|us|µs|ms|s|m|h))+|[+-]?0+")


def sampling(request: Asked, length: str) -> dict[str, object]:
    """OpenAI's parameters for `options`, with this one for `num_predict`."""
    options = request.object("options")
    if options is None:
        return {}
    said: dict[str, object] = {}
    for name, theirs in NUMBERS:
        value = options.number(name)
        if value is not None:
            said[theirs] = value
    seed, stop, limit = options.count("seed"), options.texts("stop"), options.count("num_predict")
    if seed is not None:
        said["seed"] = seed
    if stop:
        said["stop"] = stop
    if limit is not None and limit >= 0:  # -1 is endless, -2 fills the context
        said[length] = limit
    return said


def unsupported_options(request: Asked) -> list[str]:
    options = request.object("options")
    return [] if options is None else OPTIONS.unsupported(options)


def response_format(request: Asked) -> dict[str, object]:
    """OpenAI's `response_format` for `format`, which is "json" or a schema."""
    wanted = request.get("format")
    if wanted is None or wanted == "":
        return {}
    if wanted == "json":
        return {"response_format": {"type": "json_object"}}
    if not isinstance(wanted, dict):
        raise request.wrong("format", '"json" or a JSON schema')
    # not strict: OpenAI's strict schemas are a subset that other schemas are refused by
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted}}}


def reasoning_effort(request: Asked) -> dict[str, object]:
    think = request.get("think")
    if think is None:
        return {}
    if isinstance(think, bool):
        return {"reasoning_effort": "medium" if think else "none"}
    if not isinstance(think, str) or think not in EFFORTS:
        raise request.wrong("think", 'true, false, "low", "medium", "high" or "max"')
    return {"reasoning_effort": EFFORTS[think]}


def load_reason(request: Asked) -> str:
    """What a request without a prompt wants: `unload` when the model shall be kept for no time, else `load`."""
    keep_alive = request.get("keep_alive")
    if isinstance(keep_alive, str):
        return "unload" if NOUGHT.fullmatch(keep_alive) else "load"
    if keep_alive is not None and (isinstance(keep_alive, bool) or not isinstance(keep_alive, int | float)):
        raise Untranslatable("keep_alive must be a duration", "keep_alive", "invalid_type")
    return "unload" if keep_alive == 0 else "load"
