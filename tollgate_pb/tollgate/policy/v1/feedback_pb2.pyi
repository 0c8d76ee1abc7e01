from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeysUsedRequest(_message.Message):
    __slots__ = ("uses",)
    USES_FIELD_NUMBER: _ClassVar[int]
    uses: _containers.RepeatedCompositeFieldContainer[KeyUse]
    def __init__(self, uses: _Optional[_Iterable[_Union[KeyUse, _Mapping]]] = ...) -> None: ...

class KeyUse(_message.Message):
    __slots__ = ("id", "at")
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    at: int
    def __init__(self, id: _Optional[str] = ..., at: _Optional[int] = ...) -> None: ...

class KeysUsedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RefreshKeySetRequest(_message.Message):
    __slots__ = ("issuer",)
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    def __init__(self, issuer: _Optional[str] = ...) -> None: ...

class RefreshKeySetResponse(_message.Message):
    __slots__ = ("refreshed",)
    REFRESHED_FIELD_NUMBER: _ClassVar[int]
    refreshed: bool
    def __init__(self, refreshed: _Optional[bool] = ...) -> None: ...
