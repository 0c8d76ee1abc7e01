"""Who calls: the credentials this gateway knows, what they prove, and what routes may ask of them."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, Tag, model_validator

from control_plane.config.model.api_keys import ApiKeys
from control_plane.config.model.base import (
    LIST,
    WORD,
    WORDS_OR_LIST,
    Model,
    Named,
    Some,
    Unique,
)
from control_plane.config.model.key_sources import DiscoveryKeys, FileKeys, Keys, SecretKeys, check_place
from control_plane.config.model.mtls import Mtls
from control_plane.config.model.secrets import SECRET_CURE, BearerSecret
from control_plane.config.model.tokens import Tokens
from control_plane.config.values.base import Mistake
from control_plane.config.values.quantities import Leeway, Lifetime
from control_plane.config.values.text import Name, Text, Word
from service_kit.verification_keys import shortest_secret

CredentialKind = Literal["jwt", "bearer", "api_key", "mtls", "anonymous"]
HmacAlgorithm = Literal["HS256", "HS384", "HS512"]
AsymmetricAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Algorithm = Literal[HmacAlgorithm, AsymmetricAlgorithm]


def _none_when_empty(auth: "Auth") -> "Auth":
    return auth or "none"


Auth = Annotated[
    Annotated[Literal["none"], Tag(WORD)] | Annotated[tuple[CredentialKind, ...], Unique, Tag(LIST)],
    WORDS_OR_LIST,
    AfterValidator(_none_when_empty),
]


class Claims(Model):
    """Which claims of a token carry the identity."""

    subject: Text = Field("sub", description="who calls")
    tenant: Text | None = Field(None, description="the organisation")
    consumer: Text | None = Field(
        None, description="the consumer, declared or not; without it, the subject, which is never a declared one"
    )
    plan: Text | None = Field(None, description="the plan; a declared consumer's plan comes first")
    scopes: Text = Field("scope", description="space-separated text or a list")
    roles: Text = Field("roles", description="space-separated text or a list")


class JwtIssuer(Named):
    """An issuer whose tokens are accepted."""

    issuer: Text = Field(description="compared exactly with `iss`")
    audiences: Annotated[tuple[Text, ...], Some, Unique] = Field(description="`aud` must name one of these")
    algorithms: Annotated[tuple[Algorithm, ...], Some, Unique] = Field(
        description="the only algorithms accepted; HMAC and asymmetric ones are never mixed"
    )
    type: Text | None = Field(
        None, description="the `typ` that its tokens must have, such as at+jwt; without it, any (RFC 8725, 3.11)"
    )
    keys: Keys = Field(
        DiscoveryKeys(),
        description="what verifies signatures: `secret`, `file`, `url` or `discovery`; without it, discovery",
    )
    claims: Claims = Field(Claims(), description="which claims carry the identity")
    leeway: Leeway = Field(0, description="tolerance for exp, nbf and iat, whole seconds; at most 60s")
    max_lifetime: Lifetime | None = Field(
        None, description="longest accepted exp - iat, whole seconds; without it, any"
    )
    forward: bool = Field(default=False, description="whether the upstream receives the token")
    enforce: Literal["service", "envoy"] = Field(
        "service",
        description="who judges tokens: the authorizer, or Envoy, which then asks it only where it must refuse",
    )

    @model_validator(mode="after")
    def _keys_fit_the_algorithms(self) -> Self:
        hmac = [algorithm for algorithm in self.algorithms if algorithm in get_args(HmacAlgorithm)]
        if hmac and len(hmac) < len(self.algorithms):
            cure = "keep one kind; an attacker could sign with the public key as HMAC secret"
            raise Mistake("HMAC and asymmetric algorithms are mixed", cure, at=("algorithms",))
        if isinstance(self.keys, SecretKeys):
            self._check_secret(self.keys, hmac)
        elif hmac:
            at = ("keys", "file") if isinstance(self.keys, FileKeys) else ("algorithms",)
            raise Mistake(f"{hmac[0]} needs a secret", "write `keys: {secret: ...}`", at=at)
        elif not isinstance(self.keys, FileKeys):
            check_place(self.keys, self.issuer)
        return self

    def _check_secret(self, keys: SecretKeys, hmac: Sequence[str]) -> None:
        if not hmac:
            cure = "write `keys: {url: https://...}`, or drop `keys` for OIDC discovery"
            raise Mistake(f"{self.algorithms[0]} needs public keys", cure, at=("keys", "secret"))
        needed = shortest_secret(hmac)
        if len(keys.secret.get_secret_value().encode()) < needed:
            message = f"the secret is shorter than the {needed} bytes that {hmac[-1]} needs"
            raise Mistake(message, SECRET_CURE, at=("keys", "secret"))


class BearerToken(Named):
    """A shared secret that stands for one identity."""

    token: BearerSecret = Field(description="the secret, at least 16 bytes")
    subject: Word | None = Field(None, description="who calls; without it, the token's name")
    tenant: Word | None = Field(None, description="the organisation")
    consumer: Name | None = Field(None, description="a declared consumer; without it, the subject")
    plan: Name | None = Field(None, description="the plan; a declared consumer's plan comes first")
    scopes: Annotated[tuple[Word, ...], Unique] = Field((), description="the scopes it holds")
    roles: Annotated[tuple[Word, ...], Unique] = Field((), description="the roles it holds")
    forward: bool = Field(default=False, description="whether the upstream receives the token")


class Identity(Model):
    """The credentials this gateway knows."""

    jwt: tuple[JwtIssuer, ...] = Field((), description="issuers whose tokens are accepted")
    bearer_tokens: tuple[BearerToken, ...] = Field((), description="shared secrets of a small deployment")
    api_keys: ApiKeys = Field(ApiKeys(), description="where API keys are looked for and kept")
    tokens: Tokens | None = Field(None, description="tokens that the gateway issues for API keys; without it, none")
    mtls: Mtls | None = Field(None, description="whom client certificates stand for; without it, none is a credential")


class Require(Model):
    """What an identity must hold; all of the scopes, any of the roles, any of the plans."""

    scopes: Annotated[tuple[Word, ...], Unique] = Field((), description="it must hold all of them")
    roles: Annotated[tuple[Word, ...], Unique] = Field((), description="it must hold one of them")
    plans: Annotated[tuple[Name, ...], Unique] = Field((), description="its plan must be one of them")
    mode: Literal["enforce", "report"] = Field(
        "enforce", description="`report`: who would be refused is logged and counted, and passes"
    )

    @model_validator(mode="after")
    def _something_to_report(self) -> Self:
        if self.mode == "report" and not (self.scopes or self.roles or self.plans):
            raise Mistake("nothing is demanded", "write `scopes`, `roles` or `plans`, or drop `mode`", at=("mode",))
        return self
