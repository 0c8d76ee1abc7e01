"""Who calls: the credentials this gateway knows, what they prove, and what routes may ask of them."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from control_plane.config.model.base import (
    FILE,
    LIST,
    SECRET,
    SECRET_OR_FILE,
    WORD,
    WORDS_OR_LIST,
    Model,
    Named,
    Some,
    Unique,
)
from control_plane.config.model.secrets import SECRET_CURE, BearerSecret, HmacSecret
from control_plane.config.values.base import Mistake
from control_plane.config.values.quantities import Leeway, Lifetime
from control_plane.config.values.text import Name, Text, Word
from service_kit.verification_keys import shortest_secret

CredentialKind = Literal["jwt", "bearer"]
HmacAlgorithm = Literal["HS256", "HS384", "HS512"]
AsymmetricAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Algorithm = Literal[HmacAlgorithm, AsymmetricAlgorithm]


def _secret_or_file(value: Any) -> str | None:
    if isinstance(value, dict):
        named = value.keys() & {"secret", "file"}
        return {("secret",): SECRET, ("file",): FILE}.get(tuple(named))
    return SECRET if isinstance(value, SecretKeys) else FILE if isinstance(value, FileKeys) else None


def _none_when_empty(auth: "Auth") -> "Auth":
    return auth or "none"


Auth = Annotated[
    Annotated[Literal["none"], Tag(WORD)] | Annotated[tuple[CredentialKind, ...], Unique, Tag(LIST)],
    WORDS_OR_LIST,
    AfterValidator(_none_when_empty),
]


class SecretKeys(Model):
    """One HMAC secret that signs and verifies."""

    secret: HmacSecret = Field(description="the secret, at least 32 bytes")


class FileKeys(Model):
    """A JSON Web Key Set in a file; a change of the file is followed."""

    file: Text = Field(description="path of a JWKS file, relative to this configuration")


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
    keys: Annotated[
        Annotated[SecretKeys, Tag(SECRET)] | Annotated[FileKeys, Tag(FILE)],
        Discriminator(_secret_or_file, custom_error_type=SECRET_OR_FILE, custom_error_message=SECRET_OR_FILE),
    ] = Field(description="what verifies signatures: `secret` or `file`")
    claims: Claims = Field(Claims(), description="which claims carry the identity")
    leeway: Leeway = Field(0, description="tolerance for exp, nbf and iat, whole seconds; at most 60s")
    max_lifetime: Lifetime | None = Field(
        None, description="longest accepted exp - iat, whole seconds; without it, any"
    )
    forward: bool = Field(default=False, description="whether the upstream receives the token")

    @model_validator(mode="after")
    def _keys_fit_the_algorithms(self) -> Self:
        hmac = [algorithm for algorithm in self.algorithms if algorithm in get_args(HmacAlgorithm)]
        if hmac and len(hmac) < len(self.algorithms):
            cure = "keep one kind; an attacker could sign with the public key as HMAC secret"
            raise Mistake("HMAC and asymmetric algorithms are mixed", cure, at=("algorithms",))
        if isinstance(self.keys, FileKeys):
            if hmac:
                raise Mistake(f"{hmac[0]} needs a secret", "write `keys: {secret: ...}`", at=("keys", "file"))
            return self
        if not hmac:
            cure = "write `keys: {file: jwks.json}`"
            raise Mistake(f"{self.algorithms[0]} needs public keys", cure, at=("keys", "secret"))
        needed = shortest_secret(hmac)
        if len(self.keys.secret.get_secret_value().encode()) < needed:
            message = f"the secret is shorter than the {needed} bytes that {hmac[-1]} needs"
            raise Mistake(message, SECRET_CURE, at=("keys", "secret"))
        return self


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


class Require(Model):
    """What an identity must hold; all of the scopes, any of the roles."""

    scopes: Annotated[tuple[Word, ...], Unique] = Field((), description="it must hold all of them")
    roles: Annotated[tuple[Word, ...], Unique] = Field((), description="it must hold one of them")
