"""Language models: what clients call them, who answers, and what becomes of a call on the way there."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

# Who has no endpoint: what is sent there, and not refused before, finds nobody.
NOBODY: Final = "tollgate:nobody"


class Dialect(Enum):
    """Whose API is spoken."""

    OPENAI = "openai"
    OLLAMA = "ollama"


@dataclass(frozen=True)
class Asked:
    """What a body must name as its model for a route to take the request; Envoy chooses anew when it has read it.

    Routes with the same path and methods that ask are a group. One without names takes what no other one does, and
    every request before its body was read; `unnamed`: also bodies that name no model.
    """

    names: tuple[str, ...] = ()
    unnamed: bool = False


@dataclass(frozen=True)
class Target:
    """One who may answer: the cluster that is asked, and what a token costs there, in pico-dollars.

    `cluster` is the upstream itself, or the name of a `Variant` of it.
    """

    cluster: str
    upstream: str
    # As the upstream knows it.
    model: str
    weight: int = 1
    input_price: int = 0
    output_price: int = 0


@dataclass(frozen=True)
class ModelCall:
    """Calls of one model by one API: `targets` are asked group after group, of a group one by weight."""

    model: str
    dialect: Dialect
    targets: tuple[tuple[Target, ...], ...]
    # Whose plans may call it; None: everybody.
    plans: tuple[str, ...] | None = None
    # Texts by which the permission of a single key may name it: the name itself, and all patterns that take it, which
    # are its beginnings with `*` behind them and its ends with `*` before them.
    spellings: tuple[str, ...] = ()
    # Parameters that are refused with 400, by their names at the top of the body; `options.NAME` is one of `options`.
    refused: tuple[str, ...] = ()
    # Most tokens are cut down to what the model gives, instead of 400.
    clamps: bool = False


@dataclass(frozen=True)
class Variant:
    """An upstream as calls of a model reach it: under another name of the model, by another path, in another API.

    `translates` are the client's dialect and the provider (`upstreams.*.api`) where those differ. A `fallible` one may
    be followed by another target: what it has changed or added must not reach that one.
    """

    name: str
    upstream: str
    model: str
    # What is put in place of the path's beginning: (`/v1`, `/openai/v1`).
    path: tuple[str, str]
    translates: tuple[Dialect, str] | None = None
    fallible: bool = False
    # What tells the upstream's endpoints apart, as the configuration says it, and never `ip`; None: nothing.
    hash_by: str | None = None
    # By which name it takes the length of a chat's answer, where that is written by the translator.
    takes: str = "max_tokens"
    # Whether the translator asks its streams for their usage.
    asks_usage: bool = True


@dataclass(frozen=True)
class ListedModel:
    """A model as lists show it; times in seconds since the epoch."""

    name: str
    created: int
    owner: str
    # Of Ollama's lists: JSON objects as text.
    tag: str
    details: str
    # Tokens of prompt and answer together; 0 where nobody says.
    context: int = 0


@dataclass(frozen=True)
class Llm:
    """The models of the gateway, by name, and the ways to them beside upstreams."""

    listed: tuple[ListedModel, ...]
    variants: tuple[Variant, ...]
    # Whether some calls go through the translator, or will, whatever models are discovered.
    translates: bool = False
