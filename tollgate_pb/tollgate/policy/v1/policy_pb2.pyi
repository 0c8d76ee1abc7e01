from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CertificateName(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CERTIFICATE_NAME_UNSPECIFIED: _ClassVar[CertificateName]
    CERTIFICATE_NAME_SPIFFE: _ClassVar[CertificateName]
    CERTIFICATE_NAME_DNS: _ClassVar[CertificateName]
    CERTIFICATE_NAME_COMMON_NAME: _ClassVar[CertificateName]

class Dimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIMENSION_UNSPECIFIED: _ClassVar[Dimension]
    DIMENSION_SUBJECT: _ClassVar[Dimension]
    DIMENSION_TENANT: _ClassVar[Dimension]
    DIMENSION_CONSUMER: _ClassVar[Dimension]
    DIMENSION_IP: _ClassVar[Dimension]
    DIMENSION_ROUTE: _ClassVar[Dimension]
CERTIFICATE_NAME_UNSPECIFIED: CertificateName
CERTIFICATE_NAME_SPIFFE: CertificateName
CERTIFICATE_NAME_DNS: CertificateName
CERTIFICATE_NAME_COMMON_NAME: CertificateName
DIMENSION_UNSPECIFIED: Dimension
DIMENSION_SUBJECT: Dimension
DIMENSION_TENANT: Dimension
DIMENSION_CONSUMER: Dimension
DIMENSION_IP: Dimension
DIMENSION_ROUTE: Dimension

class AuthzPolicy(_message.Message):
    __slots__ = ("jwt", "bearer_tokens", "consumers", "plans", "default_plan", "api_keys", "declared_keys", "mtls", "tokens")
    JWT_FIELD_NUMBER: _ClassVar[int]
    BEARER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PLAN_FIELD_NUMBER: _ClassVar[int]
    API_KEYS_FIELD_NUMBER: _ClassVar[int]
    DECLARED_KEYS_FIELD_NUMBER: _ClassVar[int]
    MTLS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    jwt: _containers.RepeatedCompositeFieldContainer[JwtIssuer]
    bearer_tokens: _containers.RepeatedCompositeFieldContainer[BearerToken]
    consumers: _containers.RepeatedCompositeFieldContainer[Consumer]
    plans: _containers.RepeatedScalarFieldContainer[str]
    default_plan: str
    api_keys: ApiKeySettings
    declared_keys: _containers.RepeatedCompositeFieldContainer[ApiKey]
    mtls: MtlsSettings
    tokens: GatewayTokens
    def __init__(self, jwt: _Optional[_Iterable[_Union[JwtIssuer, _Mapping]]] = ..., bearer_tokens: _Optional[_Iterable[_Union[BearerToken, _Mapping]]] = ..., consumers: _Optional[_Iterable[_Union[Consumer, _Mapping]]] = ..., plans: _Optional[_Iterable[str]] = ..., default_plan: _Optional[str] = ..., api_keys: _Optional[_Union[ApiKeySettings, _Mapping]] = ..., declared_keys: _Optional[_Iterable[_Union[ApiKey, _Mapping]]] = ..., mtls: _Optional[_Union[MtlsSettings, _Mapping]] = ..., tokens: _Optional[_Union[GatewayTokens, _Mapping]] = ...) -> None: ...

class GatewayTokens(_message.Message):
    __slots__ = ("issuer", "audiences", "lifetime_seconds", "listeners")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LISTENERS_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    audiences: _containers.RepeatedScalarFieldContainer[str]
    lifetime_seconds: int
    listeners: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, issuer: _Optional[str] = ..., audiences: _Optional[_Iterable[str]] = ..., lifetime_seconds: _Optional[int] = ..., listeners: _Optional[_Iterable[str]] = ...) -> None: ...

class SigningKeys(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[SigningKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[SigningKey, _Mapping]]] = ...) -> None: ...

class SigningKey(_message.Message):
    __slots__ = ("private_key", "signs_from")
    PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNS_FROM_FIELD_NUMBER: _ClassVar[int]
    private_key: bytes
    signs_from: int
    def __init__(self, private_key: _Optional[bytes] = ..., signs_from: _Optional[int] = ...) -> None: ...

class JwtIssuer(_message.Message):
    __slots__ = ("name", "issuer", "audiences", "algorithms", "secret", "jwks", "claims", "leeway_seconds", "max_lifetime_seconds", "forward", "fetched", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    JWKS_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    LEEWAY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_LIFETIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    FETCHED_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    issuer: str
    audiences: _containers.RepeatedScalarFieldContainer[str]
    algorithms: _containers.RepeatedScalarFieldContainer[str]
    secret: bytes
    jwks: str
    claims: Claims
    leeway_seconds: int
    max_lifetime_seconds: int
    forward: bool
    fetched: bool
    type: str
    def __init__(self, name: _Optional[str] = ..., issuer: _Optional[str] = ..., audiences: _Optional[_Iterable[str]] = ..., algorithms: _Optional[_Iterable[str]] = ..., secret: _Optional[bytes] = ..., jwks: _Optional[str] = ..., claims: _Optional[_Union[Claims, _Mapping]] = ..., leeway_seconds: _Optional[int] = ..., max_lifetime_seconds: _Optional[int] = ..., forward: _Optional[bool] = ..., fetched: _Optional[bool] = ..., type: _Optional[str] = ...) -> None: ...

class Claims(_message.Message):
    __slots__ = ("subject", "tenant", "consumer", "plan", "scopes", "roles")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    subject: str
    tenant: str
    consumer: str
    plan: str
    scopes: str
    roles: str
    def __init__(self, subject: _Optional[str] = ..., tenant: _Optional[str] = ..., consumer: _Optional[str] = ..., plan: _Optional[str] = ..., scopes: _Optional[str] = ..., roles: _Optional[str] = ...) -> None: ...

class BearerToken(_message.Message):
    __slots__ = ("name", "sha256", "subject", "tenant", "consumer", "plan", "scopes", "roles", "forward")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: bytes
    subject: str
    tenant: str
    consumer: str
    plan: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    forward: bool
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[bytes] = ..., subject: _Optional[str] = ..., tenant: _Optional[str] = ..., consumer: _Optional[str] = ..., plan: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., forward: _Optional[bool] = ...) -> None: ...

class ApiKeySettings(_message.Message):
    __slots__ = ("headers", "query", "cookie", "pepper", "forward", "report_addresses")
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    COOKIE_FIELD_NUMBER: _ClassVar[int]
    PEPPER_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    REPORT_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    headers: _containers.RepeatedScalarFieldContainer[str]
    query: str
    cookie: str
    pepper: bytes
    forward: bool
    report_addresses: bool
    def __init__(self, headers: _Optional[_Iterable[str]] = ..., query: _Optional[str] = ..., cookie: _Optional[str] = ..., pepper: _Optional[bytes] = ..., forward: _Optional[bool] = ..., report_addresses: _Optional[bool] = ...) -> None: ...

class ApiKey(_message.Message):
    __slots__ = ("id", "hash", "consumer", "scopes", "roles", "allow_ips", "expires", "plan")
    ID_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_IPS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    id: str
    hash: bytes
    consumer: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    allow_ips: _containers.RepeatedScalarFieldContainer[str]
    expires: int
    plan: str
    def __init__(self, id: _Optional[str] = ..., hash: _Optional[bytes] = ..., consumer: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., allow_ips: _Optional[_Iterable[str]] = ..., expires: _Optional[int] = ..., plan: _Optional[str] = ...) -> None: ...

class MtlsSettings(_message.Message):
    __slots__ = ("subject", "clients")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    subject: CertificateName
    clients: _containers.RepeatedCompositeFieldContainer[MtlsClient]
    def __init__(self, subject: _Optional[_Union[CertificateName, str]] = ..., clients: _Optional[_Iterable[_Union[MtlsClient, _Mapping]]] = ...) -> None: ...

class MtlsClient(_message.Message):
    __slots__ = ("name", "tenant", "consumer", "plan", "scopes", "roles")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    consumer: str
    plan: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., consumer: _Optional[str] = ..., plan: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ...) -> None: ...

class Consumer(_message.Message):
    __slots__ = ("name", "tenant", "plan")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    plan: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., plan: _Optional[str] = ...) -> None: ...

class LimitSet(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[Limit]
    def __init__(self, limits: _Optional[_Iterable[_Union[Limit, _Mapping]]] = ...) -> None: ...

class Limit(_message.Message):
    __slots__ = ("id", "requests", "period_seconds", "per")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    id: str
    requests: int
    period_seconds: int
    per: _containers.RepeatedScalarFieldContainer[Dimension]
    def __init__(self, id: _Optional[str] = ..., requests: _Optional[int] = ..., period_seconds: _Optional[int] = ..., per: _Optional[_Iterable[_Union[Dimension, str]]] = ...) -> None: ...
