"""The models that a stand-in has: what its listings tell of them, and the vectors of those that embed."""

import hashlib
import math
from dataclasses import dataclass

CREATED = 1735689600  # 2025-01-01
VECTOR = 16
# Those that most tests call.
LLAMA, QWEN, GPT = "llama3.1:8b", "qwen3:8b", "gpt-4o-mini"


@dataclass(frozen=True)
class Model:
    """A model; `capabilities` are Ollama's words: completion, tools, thinking, vision, insert, embedding."""

    name: str
    capabilities: tuple[str, ...] = ("completion",)
    family: str = "llama"
    parameters: str = "8.0B"
    quantization: str = "Q4_K_M"
    size: int = 4_920_753_328
    context: int = 8192
    created: int = CREATED
    owner: str = "system"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def can(self, capability: str) -> bool:
        return capability in self.capabilities


OLLAMA_MODELS = (
    Model(LLAMA, ("completion", "tools")),
    Model(QWEN, ("completion", "tools", "thinking"), family="qwen3", parameters="8.2B", context=40_960),
    Model("llava:7b", ("completion", "vision"), parameters="7B", quantization="Q4_0", context=32_768),
    Model("nomic-embed-text:latest", ("embedding",), "nomic-bert", "137M", "F16", 274_302_450, 2048),
)
OPENAI_MODELS = (
    Model(GPT, ("completion", "tools", "vision")),
    Model("o4-mini", ("completion", "tools", "vision", "thinking")),
    Model("gpt-3.5-turbo-instruct", ("completion", "insert")),
    Model("text-embedding-3-small", ("embedding",)),
)


def vector(text: str, dimensions: int | None = None) -> list[float]:
    """A text's vector, of length one: always the same."""
    seed = hashlib.shake_256(text.encode()).digest(VECTOR)
    kept = [byte / 255 - 0.5 for byte in seed][: dimensions or VECTOR]
    length = math.sqrt(sum(number * number for number in kept)) or 1.0
    return [number / length for number in kept]
