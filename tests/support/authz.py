"""Policies, tokens and questions for the tests of the authorizer, and the authorizer with its clock in hand."""

import hashlib
import io
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import shake_256
from itertools import count
from typing import Any
from urllib.parse import quote

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from prometheus_client import CollectorRegistry

from authz_service.metrics import Metrics
from authz_service.server import AuthorizationService, Authorizer
from authz_service.usage import KeyUses
from service_kit.api_keys import Key, RandomBytes, key_hash, new_key
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE, BESIDE_TYPES
from service_kit.log import Logger, redact_secrets
from tests.support.clock import StillClock
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

ISSUER = "https://accounts.example.com"
HMAC_ISSUER = "https://hmac.example.com"
AUDIENCE = "gateway"
SECRET = b"a shared secret of 32 bytes, or more"
PEPPER = b"a pepper of thirty-two bytes, or more"
BEARER = "s3cret-bearer-of-the-deployment"
NOW = 1_700_000_000
ROUTE = {"route": "email", "profile": "p1", "accept": "jwt bearer"}


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """An RSA key; the same name is the same key for the whole run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_jwk(name: str = "k1", **members: object) -> dict[str, Any]:
    """The public JWK of `rsa_key(name)`; a member that is None is left out."""
    jwk = {**RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True), "kid": name, **members}
    return {key: value for key, value in jwk.items() if value is not None}


def ec_jwk(kid: str = "e1") -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True), "kid": kid}


def jwks(*keys: Mapping[str, object]) -> str:
    return json.dumps({"keys": keys})


def claim_names(**changes: str) -> policy_pb.Claims:
    names = {"subject": "sub", "tenant": "org", "plan": "plan", "scopes": "scope", "roles": "roles"}
    return policy_pb.Claims(**{**names, **changes})


def rsa_issuer(**changes: Any) -> policy_pb.JwtIssuer:
    fields: dict[str, Any] = {
        "name": "accounts",
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "algorithms": ["RS256"],
        "claims": claim_names(),
    }
    if "secret" not in changes:
        fields["jwks"] = jwks(rsa_jwk())
    return policy_pb.JwtIssuer(**{**fields, **changes})


def hmac_issuer(**changes: Any) -> policy_pb.JwtIssuer:
    fields = {"name": "hmac", "issuer": HMAC_ISSUER, "algorithms": ["HS256"], "secret": SECRET}
    return rsa_issuer(**{**fields, **changes})


def bearer(name: str = "default", token: str = BEARER, **fields: Any) -> policy_pb.BearerToken:
    return policy_pb.BearerToken(name=name, sha256=hashlib.sha256(token.encode()).digest(), **fields)


def settings(**changes: Any) -> policy_pb.ApiKeySettings:
    """Where keys are looked for by default, and a query parameter and a cookie."""
    places = {"headers": ["x-api-key", "authorization"], "query": "api_key", "cookie": "tollgate_key"}
    return policy_pb.ApiKeySettings(**{**places, "pepper": PEPPER, **changes})


@cache
def key_of(name: str) -> Key:
    """An API key; the same name is the same key."""
    numbers = count()
    return new_key(lambda size: shake_256(f"{name} {next(numbers)}".encode()).digest(size))


def api_key(name: str = "k1", **changes: Any) -> policy_pb.ApiKey:
    """What is kept of a key of the consumer acme."""
    key = key_of(name)
    fields = {"id": key.id, "hash": key_hash(PEPPER, key.text.encode()), "consumer": "acme"}
    return policy_pb.ApiKey(**{**fields, **changes})


def key_policy(*keys: policy_pb.ApiKey, **changes: Any) -> policy_pb.AuthzPolicy:
    """A policy with the consumer acme and these declared keys."""
    acme = policy_pb.Consumer(name="acme", tenant="acme-inc")
    fields = {"consumers": [acme], "declared_keys": keys, "api_keys": settings()}
    return policy(**{**fields, **changes})


def policy(**changes: Any) -> policy_pb.AuthzPolicy:
    """An RSA and an HMAC issuer, one bearer token, two plans."""
    fields = {"jwt": [rsa_issuer(), hmac_issuer()], "bearer_tokens": [bearer()], "plans": ["free", "pro"]}
    return policy_pb.AuthzPolicy(**{**fields, **changes})


def claims(**changes: object) -> dict[str, Any]:
    """Good claims; one that is changed to None is left out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": NOW + 600, "iat": NOW - 10}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(headers: Mapping[str, object] | None = None, key: str = "k1", **changes: object) -> str:
    """A token of the RSA issuer; made here, because PyJWT would not sign what a test needs."""
    return raw_token({"alg": "RS256", "typ": "JWT", "kid": "k1", **(headers or {})}, claims(**changes), key)


def hmac_signed(**changes: object) -> str:
    """A token of the HMAC issuer."""
    return jwt.encode(claims(**{"iss": HMAC_ISSUER, **changes}), SECRET, "HS256")


def raw_token(header: object, payload: object, key: str = "k1") -> str:
    """A token with exactly this header and payload, JSON text or bytes where given so, rightly signed with RS256."""
    signing_input = f"{_segment(header)}.{_segment(payload)}"
    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signing_input.encode(), rsa_key(key))
    return f"{signing_input}.{unpadded(signature)}"


def unpadded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _segment(value: object) -> str:
    if isinstance(value, bytes):
        return unpadded(value)
    return unpadded((value if isinstance(value, str) else json.dumps(value)).encode())


def check_request(
    headers: Sequence[tuple[str, str | bytes]] = (),
    extensions: Mapping[str, str] | None = None,
    *,
    raw: bool = True,
    path: str = "/",
    certificate: str = "",
) -> bytes:
    """The question Envoy asks; `raw` is what `encode_raw_headers: true` makes of the headers."""
    message = auth_pb.CheckRequest()
    message.attributes.context_extensions.update(ROUTE if extensions is None else extensions)
    http = message.attributes.request.http
    http.id = "17"
    http.path = path
    message.attributes.source.certificate = quote(certificate)
    for name, value in headers:
        data = value if isinstance(value, bytes) else value.encode()
        if raw:
            http.header_map.headers.append(base_pb.HeaderValue(key=name, raw_value=data))
        else:
            http.headers[name] = data.decode()
    return bytes(message.SerializeToString())


@dataclass(frozen=True)
class Answer:
    """A CheckResponse as a client and an upstream see it."""

    message: auth_pb.CheckResponse

    @property
    def allowed(self) -> bool:
        return bool(self.message.status.code == 0 and self.message.HasField("ok_response"))

    @property
    def status(self) -> int:
        return 200 if self.allowed else int(self.message.denied_response.status.code)

    @property
    def code(self) -> str:
        return "ok" if self.allowed else str(self.error["code"])

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.message.denied_response.body)["error"]
        return found

    @property
    def headers(self) -> dict[str, str]:
        found = self.message.ok_response if self.allowed else self.message.denied_response
        return {option.header.key: option.header.value for option in found.headers}

    @property
    def removed(self) -> list[str]:
        return list(self.message.ok_response.headers_to_remove)

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.message.dynamic_metadata.items())

    def part(self, name: str) -> str:
        """A part of the identity that the upstream reads."""
        return self.headers[f"x-tollgate-{name}"]


def counted_bytes() -> RandomBytes:
    """Bytes that are another number each time."""
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


@dataclass
class Gate:
    """The whole authorizer but its socket."""

    clock: StillClock = field(default_factory=lambda: StillClock(float(NOW)))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    logged: io.StringIO = field(default_factory=io.StringIO)
    # That nothing is stored was said.
    told: bool = True

    def __post_init__(self) -> None:
        self.metrics, self.uses, self.log = Metrics(self.registry), KeyUses(self.clock), self._logger()
        self.authorizer = Authorizer(clock=self.clock, metrics=self.metrics, random_bytes=counted_bytes())
        for type_url in BESIDE_TYPES if self.told else ():
            self.authorizer.apply(type_url, {}, ())
        self.service = AuthorizationService(
            self.authorizer, uses=self.uses, clock=self.clock, metrics=self.metrics, log=self.log
        )

    def apply(self, message: policy_pb.AuthzPolicy) -> "Gate":
        self.authorizer.apply(AUTHZ_POLICY_TYPE, {AUTHZ_POLICY_NAME: message.SerializeToString()}, ())
        return self

    def answer(self, request: bytes) -> Answer:
        return Answer(auth_pb.CheckResponse.FromString(self.service.answer(request)))

    def ask(self, *authorization: str | bytes, **demands: str) -> Answer:
        """The answer to a request with these Authorization headers on the route with these demands."""
        return self.answer(check_request([("authorization", value) for value in authorization], {**ROUTE, **demands}))

    def use(
        self, text: str, *headers: tuple[str, str | bytes], path: str = "/", certificate: str = "", **demands: str
    ) -> Answer:
        """The answer to a request with this key in a header of its own, on a route that takes keys."""
        extensions = {**ROUTE, "accept": "api_key", **demands}
        sent = [("x-api-key", text), *headers] if text else headers
        return self.answer(check_request(sent, extensions, path=path, certificate=certificate))

    def present(self, token: str | bytes, **demands: str) -> Answer:
        """The answer to a request with this token."""
        return self.ask(b"Bearer " + (token if isinstance(token, bytes) else token.encode()), **demands)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.logged.getvalue().splitlines()]

    def _logger(self) -> Logger:
        logger: Logger = structlog.wrap_logger(
            structlog.WriteLogger(self.logged),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                redact_secrets,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
        return logger


def gate(message: policy_pb.AuthzPolicy | None = None) -> Gate:
    """A gate with a policy, the usual one where none is given."""
    return Gate().apply(policy() if message is None else message)
