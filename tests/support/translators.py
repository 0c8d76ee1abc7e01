"""A translator for any pair, even one that a gateway passes on as it is: there and back through OpenAI's format."""

from llm_providers.chained import chained
from llm_providers.registry import inbound, provider, translator
from llm_providers.translation import Call, Translator


def translator_between(client: str, upstream: str, call: Call) -> Translator:
    vendor = provider(upstream)
    needed = translator(client, vendor, call)
    if needed is not None:
        return needed
    assert vendor.from_openai is not None
    return chained(inbound()[client](call), vendor.from_openai(call))
