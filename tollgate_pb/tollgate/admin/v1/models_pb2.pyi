from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListModelsRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ModelsReport(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelReport]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelReport, _Mapping]]] = ...) -> None: ...

class ModelReport(_message.Message):
    __slots__ = ("name", "aliases", "apis", "targets", "source", "state", "plans", "everybody", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    APIS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PLANS_FIELD_NUMBER: _ClassVar[int]
    EVERYBODY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    apis: _containers.RepeatedScalarFieldContainer[str]
    targets: _containers.RepeatedCompositeFieldContainer[TargetReport]
    source: str
    state: str
    plans: _containers.RepeatedScalarFieldContainer[str]
    everybody: bool
    reason: str
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., apis: _Optional[_Iterable[str]] = ..., targets: _Optional[_Iterable[_Union[TargetReport, _Mapping]]] = ..., source: _Optional[str] = ..., state: _Optional[str] = ..., plans: _Optional[_Iterable[str]] = ..., everybody: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class TargetReport(_message.Message):
    __slots__ = ("upstream", "model", "group", "weight", "input_price", "output_price")
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    INPUT_PRICE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PRICE_FIELD_NUMBER: _ClassVar[int]
    upstream: str
    model: str
    group: int
    weight: int
    input_price: float
    output_price: float
    def __init__(self, upstream: _Optional[str] = ..., model: _Optional[str] = ..., group: _Optional[int] = ..., weight: _Optional[int] = ..., input_price: _Optional[float] = ..., output_price: _Optional[float] = ...) -> None: ...
