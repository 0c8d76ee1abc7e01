"""Snapshots as people read them: plain data for YAML or JSON, every `Any` unpacked, secrets replaced.

Nothing is dropped in silence: a field that protobuf's generated messages do not know is read by envoy-data-plane's, and
one that neither knows is an error.
"""

import base64
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from betterproto2 import Casing
from betterproto2 import Message as DataPlaneMessage
from cryptography import x509
from envoy.config.core.v3 import base_pb2 as base_pb
from envoy.extensions.access_loggers.file.v3 import file_pb2 as _file  # noqa: F401 - known to the descriptor pool
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2 as _cel  # noqa: F401
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as _headers  # noqa: F401
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2 as _h2m  # noqa: F401
from envoy.extensions.filters.http.health_check.v3 import health_check_pb2 as _health  # noqa: F401
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as _jwt  # noqa: F401
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as _rbac  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2 as _router  # noqa: F401
from envoy.extensions.filters.network.connection_limit.v3 import connection_limit_pb2 as _connections  # noqa: F401
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2 as _early  # noqa: F401
from envoy_data_plane.message_pool import default_message_pool
from google.protobuf import descriptor_pool, json_format, message_factory, unknown_fields
from google.protobuf.any_pb2 import Any as ProtoAny
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from control_plane.snapshot import Snapshot
from control_plane.xds import names
from control_plane.xds.packing import TYPE_PREFIX
from service_kit import contract

REDACTED = "[redacted]"
TLS = "envoy.extensions.transport_sockets.tls.v3"
SECRET_FIELDS = frozenset(
    {
        "tollgate.policy.v1.JwtIssuer.secret",
        "tollgate.policy.v1.BearerToken.sha256",
        "tollgate.policy.v1.ApiKeySettings.pepper",
        "tollgate.policy.v1.ApiKey.hash",
        "tollgate.policy.v1.SigningKey.private_key",
        f"{TLS}.TlsCertificate.private_key",
        f"{TLS}.GenericSecret.secret",
    }
)
CERTIFICATE_FIELDS = frozenset(
    {f"{TLS}.TlsCertificate.certificate_chain", f"{TLS}.CertificateValidationContext.trusted_ca"}
)
# What `tollgate render --type` names.
KINDS: Mapping[str, str] = {
    "listeners": names.LISTENER_TYPE,
    "routes": names.ROUTES_TYPE,
    "clusters": names.CLUSTER_TYPE,
    "endpoints": names.ENDPOINTS_TYPE,
    "secrets": names.SECRET_TYPE,
    "authz": contract.AUTHZ_POLICY_TYPE,
    "ratelimit": contract.LIMIT_SET_TYPE,
    "ledger": contract.LEDGER_POLICY_TYPE,
}


class UnknownField(Exception):  # noqa: N818 - it is the field that is unknown
    """A resource holds a field that no generated message knows."""


def rendered(snapshot: Snapshot, kind: str) -> dict[str, Any]:  # Any: plain data of any shape
    """The resources of a kind by name."""
    type_url = KINDS[kind]
    return {name: _message(_decoded(type_url, item.body)) for name, item in sorted(snapshot.of(type_url).items())}


def redacted(type_url: str, body: bytes) -> bytes:
    """The same message with every secret replaced, at any depth."""
    message = _decoded(type_url, body)
    _redact(message)
    found: bytes = message.SerializeToString(deterministic=True)
    return found


def _redact(message: Message) -> None:
    if isinstance(message, ProtoAny):
        with suppress(KeyError):  # a newer message than protobuf's: it names secrets, it holds none
            message.value = redacted(message.type_url, message.value)
        return
    for field, value in message.ListFields():
        if field.full_name in SECRET_FIELDS:
            _replace(message, field, value)
        else:
            for inner in _inner_messages(field, value):
                _redact(inner)


def _replace(message: Message, field: FieldDescriptor, value: Any) -> None:  # Any: protobuf values are of many types
    if not isinstance(value, base_pb.DataSource):
        setattr(message, field.name, REDACTED.encode() if field.type == FieldDescriptor.TYPE_BYTES else REDACTED)
    elif not value.HasField("filename"):
        value.inline_string = REDACTED


def _inner_messages(field: FieldDescriptor, value: Any) -> Iterable[Message]:  # Any: protobuf values are of many types
    if field.message_type is None:
        return ()
    if field.message_type.GetOptions().map_entry:
        return value.values() if field.message_type.fields_by_name["value"].message_type is not None else ()
    return value if field.is_repeated else (value,)


def _decoded(type_url: str, body: bytes) -> Message:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(type_url.removeprefix(TYPE_PREFIX))
    message = message_factory.GetMessageClass(descriptor)()
    message.ParseFromString(body)
    return message


def _message(message: Message) -> dict[str, Any]:
    known = {field.name: _field(field, value) for field, value in message.ListFields()}
    return known | _newer_fields(message, known) if len(unknown_fields.UnknownFieldSet(message)) else known


def _newer_fields(message: Message, known: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that only the newer of the two libraries knows."""
    newer = default_message_pool.url_to_type.get(TYPE_PREFIX + message.DESCRIPTOR.full_name)
    parsed = None if newer is None else newer.parse(message.SerializeToString())
    if parsed is None or _has_unknown_fields(parsed):
        raise UnknownField(message.DESCRIPTOR.full_name)
    return {name: value for name, value in parsed.to_dict(casing=Casing.SNAKE).items() if name not in known}


def _field(field: FieldDescriptor, value: Any) -> Any:  # Any: protobuf values are of the field's type
    if isinstance(value, base_pb.DataSource) and value.HasField("filename"):
        return _message(value)
    if field.full_name in SECRET_FIELDS:
        return REDACTED
    if field.full_name in CERTIFICATE_FIELDS:
        return [_certificate(item) for item in x509.load_pem_x509_certificates(value.inline_string.encode())]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {str(key): _value(entry, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_value(field, item) for item in value]
    return _value(field, value)


def _certificate(item: x509.Certificate) -> dict[str, str]:
    return {"subject": item.subject.rfc4514_string(), "expires": item.not_valid_after_utc.isoformat()}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, ProtoAny):
        return _any(value)
    if isinstance(value, Message):
        if value.DESCRIPTOR.full_name.startswith("google.protobuf."):
            return _in_order(json_format.MessageToDict(value))
        return _message(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _in_order(value: Any) -> Any:
    """Structs come from a map, whose order is not one."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _any(value: ProtoAny) -> dict[str, Any]:
    try:
        return {"@type": value.type_url, **_message(_decoded(value.type_url, value.value))}
    except (KeyError, UnknownField) as error:
        newer = default_message_pool.url_to_type.get(value.type_url)
        if newer is None:
            raise UnknownField(value.type_url) from error
        parsed = newer.parse(value.value)
        if _has_unknown_fields(parsed):
            raise UnknownField(value.type_url) from error
        return {"@type": value.type_url, **parsed.to_dict(casing=Casing.SNAKE)}


def _has_unknown_fields(value: object) -> bool:
    """Whether envoy-data-plane kept bytes, at any depth, that it would leave out of what is shown."""
    if isinstance(value, DataPlaneMessage):
        if value._unknown_fields:  # noqa: SLF001 - the library shows them nowhere else
            return True
        return any(map(_has_unknown_fields, vars(value).values()))
    if isinstance(value, Mapping):
        return any(map(_has_unknown_fields, value.values()))
    return isinstance(value, list) and any(map(_has_unknown_fields, value))
