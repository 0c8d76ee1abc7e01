"""The configuration language: one strict, frozen model. Unknown keys and wrong types are errors.

What a key means is written beside it; `tollgate schema` publishes the same words. Whether names refer to something that
exists, and whether rules can be enforced, is decided when the intermediate representation is built.
"""

import re
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, SecretStr, Tag, model_validator

from control_plane.config.values import (
    AbsolutePath,
    Address,
    BodySize,
    Host,
    Leeway,
    Lifetime,
    Mistake,
    Name,
    PathPattern,
    Rate,
    Seconds,
    Text,
    UpstreamUrl,
    Word,
)
from service_kit.endpoint import TcpEndpoint
from service_kit.verification_keys import SHORTEST_SECRET, shortest_secret

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CredentialKind = Literal["jwt", "bearer"]
Dimension = Literal["subject", "tenant", "consumer", "ip", "route"]
HmacAlgorithm = Literal["HS256", "HS384", "HS512"]
AsymmetricAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Algorithm = Literal[HmacAlgorithm, AsymmetricAlgorithm]

# RFC 7518 section 3.2: an HMAC key is at least as long as the hash.
SMALLEST_TOKEN: Final = 16
LARGEST_TOKEN: Final = 4096  # the authorizer looks at 8192 bytes
# RFC 6750, section 2.1: what may follow `Bearer`; a comma would join two credentials.
BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
DEFAULT_BODY_LIMIT: Final = 8 * 2**20
SECRET_CURE: Final = "make one with `openssl rand -hex 32`"  # noqa: S105 - advice, not a secret

# Branches of a union in the locations of pydantic's errors; the brackets keep them apart from keys people write.
WORD, LIST, SECRET, FILE = BRANCHES = ("<word>", "<list>", "<secret>", "<file>")

# Errors of a union where no branch fits; explain.py has their words.
WORD_OR_LIST: Final = "word_or_list"
SECRET_OR_FILE: Final = "secret_or_file"  # noqa: S105 - the name of an error

T = TypeVar("T")


def _without_repeats(values: tuple[T, ...]) -> tuple[T, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise Mistake("stands twice", "drop one", value=str(value), at=(index,))
    return values


def _word_or_list(value: Any) -> str | None:
    return WORD if isinstance(value, str) else LIST if isinstance(value, tuple) else None


def _secret_or_file(value: Any) -> str | None:
    if isinstance(value, dict):
        named = value.keys() & {"secret", "file"}
        return {("secret",): SECRET, ("file",): FILE}.get(tuple(named))
    return SECRET if isinstance(value, SecretKeys) else FILE if isinstance(value, FileKeys) else None


def _none_when_empty(auth: "Auth") -> "Auth":
    return auth or "none"


def _something(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise Mistake("the list is empty", "write at least one entry")
    return values


def _bearer_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text.encode()) < SMALLEST_TOKEN:
        raise Mistake(f"the token is shorter than {SMALLEST_TOKEN} bytes", SECRET_CURE)
    if len(text) > LARGEST_TOKEN:
        raise Mistake(f"the token is longer than {LARGEST_TOKEN} bytes", SECRET_CURE)
    if not BEARER_TOKEN.fullmatch(text):
        raise Mistake("the token holds characters that a bearer token cannot have", SECRET_CURE)
    if text.count(".") == 2:  # noqa: PLR2004 - the dots of header.payload.signature
        raise Mistake("the token has two dots, and would be taken for a JWT", SECRET_CURE)
    return secret


def _admin_secret(secret: SecretStr) -> SecretStr:
    return _bearer_secret(secret) if secret.get_secret_value() else secret


def _hmac_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SHORTEST_SECRET:
        raise Mistake(f"the secret is shorter than {SHORTEST_SECRET} bytes", SECRET_CURE)
    return secret


Unique = AfterValidator(_without_repeats)
Some = AfterValidator(_something)
Auth = Annotated[
    Annotated[Literal["none"], Tag(WORD)] | Annotated[tuple[CredentialKind, ...], Unique, Tag(LIST)],
    Discriminator(_word_or_list, custom_error_type=WORD_OR_LIST, custom_error_message=WORD_OR_LIST),
    AfterValidator(_none_when_empty),
]
Per = Annotated[
    Annotated[Dimension, Tag(WORD)] | Annotated[tuple[Dimension, ...], Some, Unique, Tag(LIST)],
    Discriminator(_word_or_list, custom_error_type=WORD_OR_LIST, custom_error_message=WORD_OR_LIST),
]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Named(Model):
    """An entry of a list that is known by its name."""

    name: Name = Field(description="its name; each name once")


class Admin(Model):
    """Where metrics, status and health of the gateway are served."""

    address: Address = Field(TcpEndpoint("127.0.0.1", 8801), description="IP:PORT of the observability port")
    token: Annotated[SecretStr, AfterValidator(_admin_secret)] = Field(
        SecretStr(""), description="bearer token of the admin API; empty: generated into the state directory"
    )


class Defaults(Model):
    """What a route or an identity has where it says nothing."""

    auth: Auth | None = Field(None, description="credentials a route accepts; `none` makes routes public")
    plan: Name | None = Field(None, description="plan of an identity that names none")


class Listener(Model):
    """An address on which clients reach the routes."""

    address: Address = Field(description="IP:PORT to listen on")


class SecretKeys(Model):
    """One HMAC secret that signs and verifies."""

    secret: Annotated[SecretStr, AfterValidator(_hmac_secret)] = Field(description="the secret, at least 32 bytes")


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

    token: Annotated[SecretStr, AfterValidator(_bearer_secret)] = Field(description="the secret, at least 16 bytes")
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


class Limit(Model):
    """A sliding window: never more than N requests in any period."""

    requests: Rate = Field(description="N/second, N/minute, N/hour or N/day")
    per: Per = Field("subject", description="what is counted apart; of a list, each combination")


class Plan(Model):
    """What a class of consumers may use."""

    limits: tuple[Limit, ...] = Field((), description="limits on everything such a consumer calls")


class Consumer(Named):
    """A person or system known by name."""

    tenant: Word | None = Field(None, description="the organisation")
    plan: Name | None = Field(None, description="the plan; without it, defaults.plan")


class Upstream(Model):
    """A service behind the gateway."""

    url: UpstreamUrl | None = Field(None, description="its only endpoint, http://HOST:PORT")
    endpoints: Annotated[tuple[UpstreamUrl, ...], Unique] = Field((), description="its endpoints, http://HOST:PORT")
    timeout: Seconds | None = Field(None, description="for routes that name none; 30s without either")
    connect_timeout: Seconds = Field(2.0, description="time to connect")

    @model_validator(mode="after")
    def _one_way_to_name_endpoints(self) -> Self:
        if self.url is not None and self.endpoints:
            raise Mistake("the upstream has `url` and `endpoints`", "put all of them into `endpoints`", at=("url",))
        if self.url is None and not self.endpoints:
            raise Mistake("the upstream has no endpoint", "write `url: http://HOST:PORT`, or a list `endpoints`")
        return self


class Match(Model):
    """Which requests a route takes."""

    path: PathPattern = Field(description="`/exact`, or `/prefix/*` for the prefix and everything below it")
    methods: Annotated[tuple[Method, ...], Unique] = Field((), description="all methods where empty")
    hosts: Annotated[tuple[Host, ...], Unique] = Field((), description="exact or `*.suffix`; all hosts where empty")


class Require(Model):
    """What an identity must hold; all of the scopes, any of the roles."""

    scopes: Annotated[tuple[Word, ...], Unique] = Field((), description="it must hold all of them")
    roles: Annotated[tuple[Word, ...], Unique] = Field((), description="it must hold one of them")


class Route(Named):
    """Requests, who may make them, and where they go."""

    match: Match = Field(description="which requests it takes")
    upstream: Name = Field(description="name of the upstream that answers")
    rewrite: AbsolutePath | None = Field(None, description="replaces the matched path or prefix")
    auth: Auth | None = Field(None, description="credentials accepted, any of; `none` is public; else defaults.auth")
    require: Require = Field(Require(), description="what an identity must hold")
    limits: tuple[Limit, ...] = Field((), description="limits beside those of the plan")
    timeout: Seconds | None = Field(
        None,
        description="for the whole answer, or its first byte where `streaming` or `websocket`; else the upstream's",
    )
    streaming: bool = Field(default=False, description="answers stream: SSE, long downloads")
    websocket: bool = Field(default=False, description="allows the WebSocket upgrade")
    idle_timeout: Seconds | None = Field(
        None, description="longest silence; without it 60s, or the timeout where longer; 5m where `websocket`"
    )
    max_duration: Seconds | None = Field(None, description="longest life of a request; without it, any")
    body_limit: BodySize = Field(DEFAULT_BODY_LIMIT, description="largest request body; 413 above it")


class Config(Model):
    """A whole configuration."""

    version: Literal[1] = Field(description="version of this language: 1")
    admin: Admin = Field(Admin(), description="the observability port")
    defaults: Defaults = Field(Defaults(), description="what holds where nothing is said")
    listeners: dict[Name, Listener] = Field(description="addresses by name; at least one", min_length=1)
    identity: Identity = Field(Identity(), description="the credentials this gateway knows")
    plans: dict[Name, Plan] = Field({}, description="what classes of consumers may use, by name")
    consumers: tuple[Consumer, ...] = Field((), description="people and systems known by name")
    upstreams: dict[Name, Upstream] = Field({}, description="services behind the gateway, by name")
    routes: tuple[Route, ...] = Field((), description="which requests go where; their order does not matter")
