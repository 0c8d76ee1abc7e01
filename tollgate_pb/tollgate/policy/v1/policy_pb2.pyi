from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIMENSION_UNSPECIFIED: _ClassVar[Dimension]
    DIMENSION_SUBJECT: _ClassVar[Dimension]
    DIMENSION_TENANT: _ClassVar[Dimension]
    DIMENSION_CONSUMER: _ClassVar[Dimension]
    DIMENSION_IP: _ClassVar[Dimension]
    DIMENSION_ROUTE: _ClassVar[Dimension]
DIMENSION_UNSPECIFIED: Dimension
DIMENSION_SUBJECT: Dimension
DIMENSION_TENANT: Dimension
DIMENSION_CONSUMER: Dimension
DIMENSION_IP: Dimension
DIMENSION_ROUTE: Dimension

class AuthzPolicy(_message.Message):
    __slots__ = ("jwt", "bearer_tokens", "consumers", "plans", "default_plan")
    JWT_FIELD_NUMBER: _ClassVar[int]
    BEARER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PLAN_FIELD_NUMBER: _ClassVar[int]
    jwt: _containers.RepeatedCompositeFieldContainer[JwtIssuer]
    bearer_tokens: _containers.RepeatedCompositeFieldContainer[BearerToken]
    consumers: _containers.RepeatedCompositeFieldContainer[Consumer]
    plans: _containers.RepeatedScalarFieldContainer[str]
    default_plan: str
    def __init__(self, jwt: _Optional[_Iterable[_Union[JwtIssuer, _Mapping]]] = ..., bearer_tokens: _Optional[_Iterable[_Union[BearerToken, _Mapping]]] = ..., consumers: _Optional[_Iterable[_Union[Consumer, _Mapping]]] = ..., plans: _Optional[_Iterable[str]] = ..., default_plan: _Optional[str] = ...) -> None: ...

class JwtIssuer(_message.Message):
    __slots__ = ("name", "issuer", "audiences", "algorithms", "secret", "jwks", "claims", "leeway_seconds", "max_lifetime_seconds", "forward")
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
    def __init__(self, name: _Optional[str] = ..., issuer: _Optional[str] = ..., audiences: _Optional[_Iterable[str]] = ..., algorithms: _Optional[_Iterable[str]] = ..., secret: _Optional[bytes] = ..., jwks: _Optional[str] = ..., claims: _Optional[_Union[Claims, _Mapping]] = ..., leeway_seconds: _Optional[int] = ..., max_lifetime_seconds: _Optional[int] = ..., forward: _Optional[bool] = ...) -> None: ...

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
