from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Caller(_message.Message):
    __slots__ = ("consumer", "tenant", "subject", "plan", "model")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    tenant: str
    subject: str
    plan: str
    model: str
    def __init__(self, consumer: _Optional[str] = ..., tenant: _Optional[str] = ..., subject: _Optional[str] = ..., plan: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class ListQuotasRequest(_message.Message):
    __slots__ = ("caller", "usage")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    usage: str
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., usage: _Optional[str] = ...) -> None: ...

class GrantQuotaRequest(_message.Message):
    __slots__ = ("caller", "quota", "amount")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    quota: str
    amount: int
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., quota: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class ResetQuotaRequest(_message.Message):
    __slots__ = ("caller", "quota")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    caller: Caller
    quota: str
    def __init__(self, caller: _Optional[_Union[Caller, _Mapping]] = ..., quota: _Optional[str] = ...) -> None: ...

class QuotasReport(_message.Message):
    __slots__ = ("quotas",)
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    quotas: _containers.RepeatedCompositeFieldContainer[QuotaState]
    def __init__(self, quotas: _Optional[_Iterable[_Union[QuotaState, _Mapping]]] = ...) -> None: ...

class QuotaState(_message.Message):
    __slots__ = ("quota", "usage", "window", "per", "used", "held", "limit", "granted", "begins", "resets", "report")
    class PerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    BEGINS_FIELD_NUMBER: _ClassVar[int]
    RESETS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    quota: str
    usage: str
    window: str
    per: _containers.ScalarMap[str, str]
    used: int
    held: int
    limit: int
    granted: int
    begins: int
    resets: int
    report: bool
    def __init__(self, quota: _Optional[str] = ..., usage: _Optional[str] = ..., window: _Optional[str] = ..., per: _Optional[_Mapping[str, str]] = ..., used: _Optional[int] = ..., held: _Optional[int] = ..., limit: _Optional[int] = ..., granted: _Optional[int] = ..., begins: _Optional[int] = ..., resets: _Optional[int] = ..., report: _Optional[bool] = ...) -> None: ...
