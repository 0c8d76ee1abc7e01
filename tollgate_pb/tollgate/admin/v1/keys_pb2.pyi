from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MintTokenRequest(_message.Message):
    __slots__ = ("consumer", "key", "scopes", "lifetime")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    key: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    lifetime: int
    def __init__(self, consumer: _Optional[str] = ..., key: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., lifetime: _Optional[int] = ...) -> None: ...

class MintedToken(_message.Message):
    __slots__ = ("token", "key", "consumer", "scopes", "expires")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    token: str
    key: str
    consumer: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    expires: int
    def __init__(self, token: _Optional[str] = ..., key: _Optional[str] = ..., consumer: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., expires: _Optional[int] = ...) -> None: ...

class ReplaceSigningKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReplacedSigningKeys(_message.Message):
    __slots__ = ("kid", "told")
    KID_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    kid: str
    told: Told
    def __init__(self, kid: _Optional[str] = ..., told: _Optional[_Union[Told, _Mapping]] = ...) -> None: ...

class CreateKeyRequest(_message.Message):
    __slots__ = ("consumer", "plan", "scopes", "roles", "allow_ips", "expires", "models")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_IPS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    plan: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    allow_ips: _containers.RepeatedScalarFieldContainer[str]
    expires: int
    models: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, consumer: _Optional[str] = ..., plan: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., allow_ips: _Optional[_Iterable[str]] = ..., expires: _Optional[int] = ..., models: _Optional[_Iterable[str]] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ("consumer", "after", "limit")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    after: str
    limit: int
    def __init__(self, consumer: _Optional[str] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class RotateKeyRequest(_message.Message):
    __slots__ = ("id", "overlap")
    ID_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    id: str
    overlap: float
    def __init__(self, id: _Optional[str] = ..., overlap: _Optional[float] = ...) -> None: ...

class RevokeKeyRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ConsumerRequest(_message.Message):
    __slots__ = ("name", "tenant", "plan")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    plan: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., plan: _Optional[str] = ...) -> None: ...

class UpdateConsumerRequest(_message.Message):
    __slots__ = ("name", "tenant", "plan")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    plan: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., plan: _Optional[str] = ...) -> None: ...

class ListConsumersRequest(_message.Message):
    __slots__ = ("after", "limit")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after: str
    limit: int
    def __init__(self, after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class DeleteConsumerRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class KeyReport(_message.Message):
    __slots__ = ("id", "consumer", "plan", "scopes", "roles", "allow_ips", "state", "created_at", "created_by", "expires", "revoked_at", "revoked_by", "rotated_to", "last_used", "models")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_IPS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_BY_FIELD_NUMBER: _ClassVar[int]
    ROTATED_TO_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    id: str
    consumer: str
    plan: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    roles: _containers.RepeatedScalarFieldContainer[str]
    allow_ips: _containers.RepeatedScalarFieldContainer[str]
    state: str
    created_at: int
    created_by: str
    expires: int
    revoked_at: int
    revoked_by: str
    rotated_to: str
    last_used: int
    models: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., consumer: _Optional[str] = ..., plan: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., roles: _Optional[_Iterable[str]] = ..., allow_ips: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., created_at: _Optional[int] = ..., created_by: _Optional[str] = ..., expires: _Optional[int] = ..., revoked_at: _Optional[int] = ..., revoked_by: _Optional[str] = ..., rotated_to: _Optional[str] = ..., last_used: _Optional[int] = ..., models: _Optional[_Iterable[str]] = ...) -> None: ...

class ConsumerReport(_message.Message):
    __slots__ = ("name", "tenant", "plan", "created_at", "created_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    plan: str
    created_at: int
    created_by: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., plan: _Optional[str] = ..., created_at: _Optional[int] = ..., created_by: _Optional[str] = ...) -> None: ...

class Told(_message.Message):
    __slots__ = ("services", "waiting", "seconds")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    services: int
    waiting: _containers.RepeatedScalarFieldContainer[str]
    seconds: float
    def __init__(self, services: _Optional[int] = ..., waiting: _Optional[_Iterable[str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class IssuedKey(_message.Message):
    __slots__ = ("id", "key", "details", "told")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    id: str
    key: str
    details: KeyReport
    told: Told
    def __init__(self, id: _Optional[str] = ..., key: _Optional[str] = ..., details: _Optional[_Union[KeyReport, _Mapping]] = ..., told: _Optional[_Union[Told, _Mapping]] = ...) -> None: ...

class KeysReport(_message.Message):
    __slots__ = ("keys", "more")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[KeyReport]
    more: str
    def __init__(self, keys: _Optional[_Iterable[_Union[KeyReport, _Mapping]]] = ..., more: _Optional[str] = ...) -> None: ...

class RevokedKey(_message.Message):
    __slots__ = ("details", "told")
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    details: KeyReport
    told: Told
    def __init__(self, details: _Optional[_Union[KeyReport, _Mapping]] = ..., told: _Optional[_Union[Told, _Mapping]] = ...) -> None: ...

class ChangedConsumer(_message.Message):
    __slots__ = ("details", "told")
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    details: ConsumerReport
    told: Told
    def __init__(self, details: _Optional[_Union[ConsumerReport, _Mapping]] = ..., told: _Optional[_Union[Told, _Mapping]] = ...) -> None: ...

class ConsumersReport(_message.Message):
    __slots__ = ("consumers", "more")
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    consumers: _containers.RepeatedCompositeFieldContainer[ConsumerReport]
    more: str
    def __init__(self, consumers: _Optional[_Iterable[_Union[ConsumerReport, _Mapping]]] = ..., more: _Optional[str] = ...) -> None: ...

class DeletedConsumer(_message.Message):
    __slots__ = ("name", "revoked", "told")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    name: str
    revoked: int
    told: Told
    def __init__(self, name: _Optional[str] = ..., revoked: _Optional[int] = ..., told: _Optional[_Union[Told, _Mapping]] = ...) -> None: ...
