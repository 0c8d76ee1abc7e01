"""Tokens that the gateway itself issues for API keys."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from control_plane.config.model.base import Model, Some, Unique
from control_plane.config.values.base import Mistake
from control_plane.config.values.network import published_url
from control_plane.config.values.quantities import TokenLifetime
from control_plane.config.values.text import Name, Text
from service_kit.gateway_tokens import LONGEST_LIFETIME

ISSUER_CURE: Final = "write the address of the gateway as clients see it: https://HOST, without a slash at the end"
THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def _origin(issuer: str) -> str:
    try:
        url = published_url(issuer)
    except Mistake as mistake:
        if mistake.value is None:  # not to be shown
            raise
        raise Mistake("is no address of a gateway", ISSUER_CURE, value=issuer) from None
    if issuer.count("/") > len("//") or "?" in issuer:
        raise Mistake("the address says more than scheme, host and port", ISSUER_CURE)
    if not url.encrypted and url.host not in THIS_MACHINE:
        cure = "write https://HOST; http:// is for this machine alone"
        raise Mistake("is where clients would send API keys in the clear", cure, value=issuer)
    return issuer


class Tokens(Model):
    """Tokens of a few minutes, for services that shall not hold an API key: `POST /oauth/token` issues them."""

    issuer: Annotated[Text, AfterValidator(_origin)] = Field(
        description="`iss` of the tokens: https://HOST of the gateway, where its endpoints are found"
    )
    audiences: Annotated[tuple[Text, ...], Some, Unique] = Field(description="`aud` of the tokens")
    lifetime: TokenLifetime = Field(LONGEST_LIFETIME, description="how long a token is good, whole seconds; at most 5m")
    listeners: Annotated[tuple[Name, ...], Unique] = Field(
        (), description="the listeners that have the endpoints; without it, all that serve routes"
    )
    enforce: Literal["service", "envoy"] = Field(
        "service", description="`envoy`: Envoy verifies the tokens itself, and asks the authorizer about the others"
    )
