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

class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIT_UNSPECIFIED: _ClassVar[Unit]
    UNIT_REQUESTS: _ClassVar[Unit]
    UNIT_TOKENS: _ClassVar[Unit]
    UNIT_CONCURRENT: _ClassVar[Unit]

class Calendar(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALENDAR_UNSPECIFIED: _ClassVar[Calendar]
    CALENDAR_DAY: _ClassVar[Calendar]
    CALENDAR_WEEK: _ClassVar[Calendar]
    CALENDAR_MONTH: _ClassVar[Calendar]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_ENFORCE: _ClassVar[Mode]
    MODE_REPORT: _ClassVar[Mode]

class StoreFailure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STORE_FAILURE_UNSPECIFIED: _ClassVar[StoreFailure]
    STORE_FAILURE_DENY: _ClassVar[StoreFailure]
    STORE_FAILURE_LOCAL: _ClassVar[StoreFailure]
    STORE_FAILURE_ALLOW: _ClassVar[StoreFailure]

class Dimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIMENSION_UNSPECIFIED: _ClassVar[Dimension]
    DIMENSION_SUBJECT: _ClassVar[Dimension]
    DIMENSION_TENANT: _ClassVar[Dimension]
    DIMENSION_CONSUMER: _ClassVar[Dimension]
    DIMENSION_IP: _ClassVar[Dimension]
    DIMENSION_ROUTE: _ClassVar[Dimension]
    DIMENSION_PLAN: _ClassVar[Dimension]
    DIMENSION_MODEL: _ClassVar[Dimension]
CERTIFICATE_NAME_UNSPECIFIED: CertificateName
CERTIFICATE_NAME_SPIFFE: CertificateName
CERTIFICATE_NAME_DNS: CertificateName
CERTIFICATE_NAME_COMMON_NAME: CertificateName
UNIT_UNSPECIFIED: Unit
UNIT_REQUESTS: Unit
UNIT_TOKENS: Unit
UNIT_CONCURRENT: Unit
CALENDAR_UNSPECIFIED: Calendar
CALENDAR_DAY: Calendar
CALENDAR_WEEK: Calendar
CALENDAR_MONTH: Calendar
MODE_UNSPECIFIED: Mode
MODE_ENFORCE: Mode
MODE_REPORT: Mode
STORE_FAILURE_UNSPECIFIED: StoreFailure
STORE_FAILURE_DENY: StoreFailure
STORE_FAILURE_LOCAL: StoreFailure
STORE_FAILURE_ALLOW: StoreFailure
DIMENSION_UNSPECIFIED: Dimension
DIMENSION_SUBJECT: Dimension
DIMENSION_TENANT: Dimension
DIMENSION_CONSUMER: Dimension
DIMENSION_IP: Dimension
DIMENSION_ROUTE: Dimension
DIMENSION_PLAN: Dimension
DIMENSION_MODEL: Dimension

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
    __slots__ = ("id", "hash", "consumer", "scopes", "roles", "allow_ips", "expires", "plan", "models")
    ID_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_IPS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    id: str
    hash: bytes
    consumer: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    allow_ips: _containers.RepeatedScalarFieldContainer[str]
    expires: int
    plan: str
    models: Models
    def __init__(self, id: _Optional[str] = ..., hash: _Optional[bytes] = ..., consumer: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., allow_ips: _Optional[_Iterable[str]] = ..., expires: _Optional[int] = ..., plan: _Optional[str] = ..., models: _Optional[_Union[Models, _Mapping]] = ...) -> None: ...

class Models(_message.Message):
    __slots__ = ("patterns",)
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, patterns: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("limits", "quotas", "usage", "metering", "exempt", "replaced", "model")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    METERING_FIELD_NUMBER: _ClassVar[int]
    EXEMPT_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[Limit]
    quotas: _containers.RepeatedCompositeFieldContainer[Quota]
    usage: str
    metering: Metering
    exempt: bool
    replaced: Replaced
    model: str
    def __init__(self, limits: _Optional[_Iterable[_Union[Limit, _Mapping]]] = ..., quotas: _Optional[_Iterable[_Union[Quota, _Mapping]]] = ..., usage: _Optional[str] = ..., metering: _Optional[_Union[Metering, _Mapping]] = ..., exempt: _Optional[bool] = ..., replaced: _Optional[_Union[Replaced, _Mapping]] = ..., model: _Optional[str] = ...) -> None: ...

class Replaced(_message.Message):
    __slots__ = ("limits", "usages", "all_quotas")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    USAGES_FIELD_NUMBER: _ClassVar[int]
    ALL_QUOTAS_FIELD_NUMBER: _ClassVar[int]
    limits: bool
    usages: _containers.RepeatedScalarFieldContainer[str]
    all_quotas: bool
    def __init__(self, limits: _Optional[bool] = ..., usages: _Optional[_Iterable[str]] = ..., all_quotas: _Optional[bool] = ...) -> None: ...

class Limit(_message.Message):
    __slots__ = ("id", "amount", "period_seconds", "per", "unit", "mode", "on_store_failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ON_STORE_FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: str
    amount: int
    period_seconds: int
    per: _containers.RepeatedScalarFieldContainer[Dimension]
    unit: Unit
    mode: Mode
    on_store_failure: StoreFailure
    def __init__(self, id: _Optional[str] = ..., amount: _Optional[int] = ..., period_seconds: _Optional[int] = ..., per: _Optional[_Iterable[_Union[Dimension, str]]] = ..., unit: _Optional[_Union[Unit, str]] = ..., mode: _Optional[_Union[Mode, str]] = ..., on_store_failure: _Optional[_Union[StoreFailure, str]] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("id", "usage", "amount", "window", "per", "mode", "on_store_failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ON_STORE_FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: str
    usage: str
    amount: int
    window: Calendar
    per: _containers.RepeatedScalarFieldContainer[Dimension]
    mode: Mode
    on_store_failure: StoreFailure
    def __init__(self, id: _Optional[str] = ..., usage: _Optional[str] = ..., amount: _Optional[int] = ..., window: _Optional[_Union[Calendar, str]] = ..., per: _Optional[_Iterable[_Union[Dimension, str]]] = ..., mode: _Optional[_Union[Mode, str]] = ..., on_store_failure: _Optional[_Union[StoreFailure, str]] = ...) -> None: ...

class Metering(_message.Message):
    __slots__ = ("input_price", "output_price", "targets")
    INPUT_PRICE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PRICE_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    input_price: int
    output_price: int
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    def __init__(self, input_price: _Optional[int] = ..., output_price: _Optional[int] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("cluster", "input_price", "output_price")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    INPUT_PRICE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PRICE_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    input_price: int
    output_price: int
    def __init__(self, cluster: _Optional[str] = ..., input_price: _Optional[int] = ..., output_price: _Optional[int] = ...) -> None: ...

class LedgerPolicy(_message.Message):
    __slots__ = ("retention_seconds", "audit_retention_seconds")
    RETENTION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_RETENTION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    retention_seconds: int
    audit_retention_seconds: int
    def __init__(self, retention_seconds: _Optional[int] = ..., audit_retention_seconds: _Optional[int] = ...) -> None: ...
