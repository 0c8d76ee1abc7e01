"""What a metered route makes of the numbers that a client names: the same in the guard, the hold and the body.

Every API asks for the length of an answer by its own names. A number that stands there goes on as it was read, so that
no upstream reads another one, and where the client names none the gateway does: by the name that the upstream takes, or
else by the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from control_plane.ir.model import Api, Metering, ModelCall
from control_plane.xds.filters.metering.fields import OPTIONS, STREAM
from service_kit import contract

MAX_TOKENS, MAX_COMPLETION_TOKENS, NUM_PREDICT = contract.NUMBERS_OUTPUT
# By which names a client may bound an answer; an embedding has none.
OUTPUTS: Final[Mapping[Api, tuple[str, ...]]] = {
    Api.CHAT: (MAX_TOKENS, MAX_COMPLETION_TOKENS),
    Api.COMPLETIONS: (MAX_TOKENS, MAX_COMPLETION_TOKENS),
    Api.EMBEDDINGS: (),
    Api.OLLAMA: (NUM_PREDICT,),
}
# What some of them may say for an answer without an end: of Ollama's, until it ends by itself, and until the context is
# full. No model gives either.
ENDLESS: Final[Mapping[str, tuple[float, ...]]] = {NUM_PREDICT: (-1.0, -2.0)}
# Whose streams tell their usage where they are asked to.
TELLS_WHEN_ASKED: Final = (Api.CHAT, Api.COMPLETIONS)
# Ollama's other options: a merge replaces the mapping they stand in, so each is written again.
OLLAMA_OPTIONS: Final = (
    "draft_num_predict", "frequency_penalty", "low_vram", "main_gpu", "min_p", "mirostat", "mirostat_eta",
    "mirostat_tau", "num_batch", "num_ctx", "num_gpu", "num_keep", "num_thread", "numa", "penalize_newline",
    "presence_penalty", "repeat_last_n", "repeat_penalty", "seed", "stop", "temperature", "tfs_z", "top_k", "top_p",
    "typical_p", "use_mlock", "use_mmap", "vocab_only",
)  # fmt: skip
READ: Final = f"metadata.filter_metadata['{contract.LLM_NAMESPACE}']"


@dataclass(frozen=True)
class Demand:
    """How a route takes the numbers; it `clamps` one that is too large, or the guard refuses it."""

    tokens: Metering
    clamps: bool = False

    def number(self, name: str) -> str:
        """What is held and goes on, where the client names it."""
        number, most = f"{READ}.{name}", f"{self.tokens.most}.0"
        if not self.clamps:
            return number
        endless = f" || {number} < 0.0" if name in ENDLESS else ""
        return f"({number} > {most}{endless} ? {most} : {number})"


def demand(tokens: Metering, call: ModelCall | None) -> Demand:
    """Of a route that is metered so."""
    return Demand(tokens, call is not None and call.clamps)


def held(asked: Demand, name: str) -> str | int:
    """A number that a call asks for: in Envoy's format, or one that is the same for all calls."""
    tokens = asked.tokens
    outputs = OUTPUTS[tokens.api]
    if name not in outputs:
        return 0
    unnamed = _else_named(outputs[1:], "0.0", f"{tokens.most}.0") if name == outputs[0] else "0.0"
    return f"%CEL({_named(name)} ? {asked.number(name)} : {unnamed})%"


def merged(asked: Demand, written: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the body beside what the configuration has `written`; what comes out empty is left out.

    In Envoy's format, the written part too.
    """
    tokens = asked.tokens
    numbers = {name: _written(asked, name) for name in OUTPUTS[tokens.api]}
    if tokens.api is Api.OLLAMA:
        clients = {name: f"%REQUEST_BODY({OPTIONS}:{name})%" for name in OLLAMA_OPTIONS}
        return {**written, OPTIONS: {**clients, **written.get(OPTIONS, {}), **numbers}}
    return {**written, **numbers, **_usage_of_streams(tokens)}


def _written(asked: Demand, name: str) -> str:
    """The number as it was read; where the client leaves it out, what stands for it, or nothing."""
    tokens = asked.tokens
    outputs = OUTPUTS[tokens.api]
    others = tuple(item for item in outputs if item != name)
    if name == tokens.upstream_takes and others:
        # Always there: an upstream that does not know the other name would not be bounded by it.
        unnamed = _else_named(others, f"int({asked.number(others[0])})", f"{tokens.most}")
    elif not others or (name == tokens.unnamed_as and not tokens.upstream_takes):
        unnamed = _else_named(others, "null", f"{tokens.most}")
    else:
        unnamed = "null"
    return f"%TYPED_CEL({_named(name)} ? int({asked.number(name)}) : {unnamed})%"


def _usage_of_streams(tokens: Metering) -> dict[str, str]:
    if not tokens.request_usage or tokens.api not in TELLS_WHEN_ASKED:
        return {}
    # Only there: beside `stream: false` it is an error to some servers.
    return {"stream_options": f"%TYPED_CEL({READ}.{STREAM} ? {{'include_usage': true}} : null)%"}


def _else_named(others: tuple[str, ...], then: str, otherwise: str) -> str:
    """One thing where the client uses the other name, else another."""
    return f"({_named(others[0])} ? {then} : {otherwise})" if others else otherwise


def _named(name: str) -> str:
    return f"'{name}' in {READ}"
