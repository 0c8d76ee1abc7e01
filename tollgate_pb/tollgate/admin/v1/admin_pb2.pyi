from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListHistoryRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class GetRunningRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReport(_message.Message):
    __slots__ = ("configuration", "nodes", "problems", "identities", "models", "backends")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    configuration: ConfigurationReport
    nodes: _containers.RepeatedCompositeFieldContainer[NodeReport]
    problems: _containers.RepeatedScalarFieldContainer[str]
    identities: IdentitiesReport
    models: ModelCounts
    backends: _containers.RepeatedCompositeFieldContainer[BackendReport]
    def __init__(self, configuration: _Optional[_Union[ConfigurationReport, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[NodeReport, _Mapping]]] = ..., problems: _Optional[_Iterable[str]] = ..., identities: _Optional[_Union[IdentitiesReport, _Mapping]] = ..., models: _Optional[_Union[ModelCounts, _Mapping]] = ..., backends: _Optional[_Iterable[_Union[BackendReport, _Mapping]]] = ...) -> None: ...

class IdentitiesReport(_message.Message):
    __slots__ = ("store", "consumers", "keys", "trouble")
    STORE_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    store: str
    consumers: int
    keys: int
    trouble: str
    def __init__(self, store: _Optional[str] = ..., consumers: _Optional[int] = ..., keys: _Optional[int] = ..., trouble: _Optional[str] = ...) -> None: ...

class BackendReport(_message.Message):
    __slots__ = ("upstream", "provider", "state", "since", "reason", "models", "answered", "required")
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    upstream: str
    provider: str
    state: str
    since: float
    reason: str
    models: int
    answered: float
    required: bool
    def __init__(self, upstream: _Optional[str] = ..., provider: _Optional[str] = ..., state: _Optional[str] = ..., since: _Optional[float] = ..., reason: _Optional[str] = ..., models: _Optional[int] = ..., answered: _Optional[float] = ..., required: _Optional[bool] = ...) -> None: ...

class ModelCounts(_message.Message):
    __slots__ = ("written", "discovered", "withdrawn")
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    DISCOVERED_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    written: int
    discovered: int
    withdrawn: int
    def __init__(self, written: _Optional[int] = ..., discovered: _Optional[int] = ..., withdrawn: _Optional[int] = ...) -> None: ...

class ConfigurationReport(_message.Message):
    __slots__ = ("source", "live_since", "digest", "number", "errors", "held_back", "rolled_back", "restored")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LIVE_SINCE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    HELD_BACK_FIELD_NUMBER: _ClassVar[int]
    ROLLED_BACK_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    source: str
    live_since: float
    digest: str
    number: int
    errors: _containers.RepeatedScalarFieldContainer[str]
    held_back: _containers.RepeatedCompositeFieldContainer[HeldBack]
    rolled_back: Pinned
    restored: str
    def __init__(self, source: _Optional[str] = ..., live_since: _Optional[float] = ..., digest: _Optional[str] = ..., number: _Optional[int] = ..., errors: _Optional[_Iterable[str]] = ..., held_back: _Optional[_Iterable[_Union[HeldBack, _Mapping]]] = ..., rolled_back: _Optional[_Union[Pinned, _Mapping]] = ..., restored: _Optional[str] = ...) -> None: ...

class HeldBack(_message.Message):
    __slots__ = ("kind", "name", "place", "reason")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    place: str
    reason: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., place: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Pinned(_message.Message):
    __slots__ = ("number", "since")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    number: int
    since: float
    def __init__(self, number: _Optional[int] = ..., since: _Optional[float] = ...) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("node", "cluster", "protocol", "connected_at", "converged", "group", "user_agent", "types")
    class TypesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TypeReport
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TypeReport, _Mapping]] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_FIELD_NUMBER: _ClassVar[int]
    CONVERGED_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    node: str
    cluster: str
    protocol: str
    connected_at: float
    converged: bool
    group: str
    user_agent: str
    types: _containers.MessageMap[str, TypeReport]
    def __init__(self, node: _Optional[str] = ..., cluster: _Optional[str] = ..., protocol: _Optional[str] = ..., connected_at: _Optional[float] = ..., converged: _Optional[bool] = ..., group: _Optional[str] = ..., user_agent: _Optional[str] = ..., types: _Optional[_Mapping[str, TypeReport]] = ...) -> None: ...

class TypeReport(_message.Message):
    __slots__ = ("sent", "acked", "settled", "since", "refusal")
    SENT_FIELD_NUMBER: _ClassVar[int]
    ACKED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    sent: str
    acked: str
    settled: bool
    since: float
    refusal: RefusalReport
    def __init__(self, sent: _Optional[str] = ..., acked: _Optional[str] = ..., settled: _Optional[bool] = ..., since: _Optional[float] = ..., refusal: _Optional[_Union[RefusalReport, _Mapping]] = ...) -> None: ...

class RefusalReport(_message.Message):
    __slots__ = ("version", "message", "at", "nonce", "names")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    version: str
    message: str
    at: float
    nonce: str
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., message: _Optional[str] = ..., at: _Optional[float] = ..., nonce: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class HistoryReport(_message.Message):
    __slots__ = ("entries", "unavailable")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    unavailable: str
    def __init__(self, entries: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ..., unavailable: _Optional[str] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ("number", "at", "digest", "source", "result", "held", "nodes", "live", "rolled_back_to")
    class NodesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: NodeResult
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[NodeResult, _Mapping]] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    ROLLED_BACK_TO_FIELD_NUMBER: _ClassVar[int]
    number: int
    at: float
    digest: str
    source: str
    result: str
    held: _containers.RepeatedScalarFieldContainer[str]
    nodes: _containers.MessageMap[str, NodeResult]
    live: bool
    rolled_back_to: bool
    def __init__(self, number: _Optional[int] = ..., at: _Optional[float] = ..., digest: _Optional[str] = ..., source: _Optional[str] = ..., result: _Optional[str] = ..., held: _Optional[_Iterable[str]] = ..., nodes: _Optional[_Mapping[str, NodeResult]] = ..., live: _Optional[bool] = ..., rolled_back_to: _Optional[bool] = ...) -> None: ...

class NodeResult(_message.Message):
    __slots__ = ("accepted", "reason")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    reason: str
    def __init__(self, accepted: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class RollbackResult(_message.Message):
    __slots__ = ("number", "digest", "held", "errors")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    number: int
    digest: str
    held: bool
    errors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, number: _Optional[int] = ..., digest: _Optional[str] = ..., held: _Optional[bool] = ..., errors: _Optional[_Iterable[str]] = ...) -> None: ...

class Running(_message.Message):
    __slots__ = ("elements", "types", "wiring", "nodes", "key_sets", "models")
    class ElementsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Element
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Element, _Mapping]] = ...) -> None: ...
    class TypesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ServedType
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ServedType, _Mapping]] = ...) -> None: ...
    class KeySetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ModelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    WIRING_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    KEY_SETS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    elements: _containers.MessageMap[str, Element]
    types: _containers.MessageMap[str, ServedType]
    wiring: WiringReport
    nodes: _containers.RepeatedCompositeFieldContainer[NodeReport]
    key_sets: _containers.ScalarMap[str, str]
    models: _containers.ScalarMap[str, str]
    def __init__(self, elements: _Optional[_Mapping[str, Element]] = ..., types: _Optional[_Mapping[str, ServedType]] = ..., wiring: _Optional[_Union[WiringReport, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[NodeReport, _Mapping]]] = ..., key_sets: _Optional[_Mapping[str, str]] = ..., models: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Element(_message.Message):
    __slots__ = ("keys", "uses", "where")
    class KeysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEYS_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.ScalarMap[str, str]
    uses: _containers.RepeatedScalarFieldContainer[str]
    where: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Mapping[str, str]] = ..., uses: _Optional[_Iterable[str]] = ..., where: _Optional[_Iterable[str]] = ...) -> None: ...

class ServedType(_message.Message):
    __slots__ = ("resources",)
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ResourceVersion
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ResourceVersion, _Mapping]] = ...) -> None: ...
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.MessageMap[str, ResourceVersion]
    def __init__(self, resources: _Optional[_Mapping[str, ResourceVersion]] = ...) -> None: ...

class ResourceVersion(_message.Message):
    __slots__ = ("version", "groups")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    version: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ...) -> None: ...

class WiringReport(_message.Message):
    __slots__ = ("authz", "ratelimit", "access_log", "tls_certificate", "tls_private_key", "tls_authority", "oauth", "usage", "translator")
    AUTHZ_FIELD_NUMBER: _ClassVar[int]
    RATELIMIT_FIELD_NUMBER: _ClassVar[int]
    ACCESS_LOG_FIELD_NUMBER: _ClassVar[int]
    TLS_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    TLS_PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    TLS_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    OAUTH_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TRANSLATOR_FIELD_NUMBER: _ClassVar[int]
    authz: str
    ratelimit: str
    access_log: str
    tls_certificate: str
    tls_private_key: str
    tls_authority: str
    oauth: str
    usage: str
    translator: str
    def __init__(self, authz: _Optional[str] = ..., ratelimit: _Optional[str] = ..., access_log: _Optional[str] = ..., tls_certificate: _Optional[str] = ..., tls_private_key: _Optional[str] = ..., tls_authority: _Optional[str] = ..., oauth: _Optional[str] = ..., usage: _Optional[str] = ..., translator: _Optional[str] = ...) -> None: ...
