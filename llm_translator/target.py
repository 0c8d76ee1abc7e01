"""What Envoy says of a call: the dialect of the client, the provider that it reaches, its name for the model.

Errors: Misdirected
"""

from collections.abc import Mapping
from dataclasses import dataclass

from llm_providers import registry
from llm_providers.translation import Call, Translator
from service_kit.contract import (
    TRANSLATED_DIALECT,
    TRANSLATED_LENGTH,
    TRANSLATED_MODEL,
    TRANSLATED_PROVIDER,
    TRANSLATED_USAGE,
    UNASKED,
)


class Misdirected(ValueError):  # noqa: N818 - what happened, not a kind of error
    """A call that nobody can translate: Envoy and this process are of different versions."""


@dataclass(frozen=True)
class Target:
    """A pair of dialects, the upstream's name for the model where the client's is not to be sent, its name for the
    length of an answer where it is another than usual, and whether streams are asked for their usage.
    """

    dialect: str
    provider: str
    model: str = ""
    length: str = ""
    asks_usage: bool = True

    def translator(self, call: Call) -> Translator:
        """A translator for one call."""
        try:
            found = registry.translator(self.dialect, registry.provider(self.provider), call)
        except KeyError as error:
            raise Misdirected(f"nothing is known of {error}") from None
        if found is None:
            raise Misdirected(f"{self.provider} takes {self.dialect} as it is")
        return found


def target(metadata: Mapping[str, str]) -> Target:
    """The target that a call's metadata names."""
    missing = [name for name in (TRANSLATED_DIALECT, TRANSLATED_PROVIDER) if not metadata.get(name)]
    if missing:
        raise Misdirected(f"the call lacks the metadata {' and '.join(missing)}")
    dialect, provider = metadata[TRANSLATED_DIALECT], metadata[TRANSLATED_PROVIDER]
    return Target(
        dialect,
        provider,
        metadata.get(TRANSLATED_MODEL, ""),
        metadata.get(TRANSLATED_LENGTH, ""),
        asks_usage=metadata.get(TRANSLATED_USAGE) != UNASKED,
    )
