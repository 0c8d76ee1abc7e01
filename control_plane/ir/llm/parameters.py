"""Where a parameter that is called as OpenAI calls it stands in the bodies of a dialect.

Most of those that Ollama knows stand in its `options`; a few stand at the top, some of them by another name.
"""

from typing import Final

from control_plane.ir.model import Dialect

OPTIONS: Final = frozenset({
    "frequency_penalty", "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "num_ctx", "num_keep", "presence_penalty",
    "repeat_last_n", "repeat_penalty", "seed", "stop", "temperature", "tfs_z", "top_k", "top_p", "typical_p",
})  # fmt: skip
AT_THE_TOP: Final = frozenset({"dimensions", "keep_alive", "logprobs", "suffix", "think", "tools", "top_logprobs"})
RENAMED: Final = {"response_format": "format", "reasoning_effort": "think"}
# What is written by the gateway itself, or decides what it counts.
OWN: Final = frozenset({
    "best_of", "input", "max_completion_tokens", "max_tokens", "messages", "model", "n", "options", "prompt", "stream",
    "stream_options",
})  # fmt: skip


def place(name: str, dialect: Dialect) -> tuple[str, ...] | None:
    """The keys that lead to the parameter; None where the dialect has no such one."""
    if dialect is Dialect.OPENAI or name in AT_THE_TOP:
        return (name,)
    if name in OPTIONS:
        return ("options", name)
    return (RENAMED[name],) if name in RENAMED else None


def takes_the_value(name: str, dialect: Dialect) -> bool:
    """Whether the parameter has the same value there: what has another name has other values."""
    return dialect is Dialect.OPENAI or name in AT_THE_TOP | OPTIONS
