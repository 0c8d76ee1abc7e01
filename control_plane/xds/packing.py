"""Messages into `Any`, for the three ways in which extensions are built.

Listeners and filters are envoy-data-plane's, routes and clusters are protobuf's own, and an extension that neither
library knows travels as a TypedStruct, which Envoy converts by the type it names.
"""

from collections.abc import Mapping, Sequence
from typing import Union

from envoy_data_plane.google.protobuf import Any as DataPlaneAny
from google.protobuf.any_pb2 import Any as ProtoAny
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

TYPE_PREFIX = "type.googleapis.com/"
JsonValue = Union[str, float, bool, None, Sequence["JsonValue"], Mapping[str, "JsonValue"]]  # noqa: UP007 - refers to itself


def packed(message: Message) -> ProtoAny:
    """A protobuf message as Any, with the same bytes for the same content."""
    return ProtoAny(type_url=TYPE_PREFIX + message.DESCRIPTOR.full_name, value=serialized(message))


def serialized(message: Message) -> bytes:
    """Bytes that depend on the content alone: map entries in order of their keys."""
    return message.SerializeToString(deterministic=True)


def typed_struct(type_name: str, fields: Mapping[str, JsonValue]) -> DataPlaneAny:
    """An extension of a type that no library here knows."""
    known = packed_struct(type_name, fields)
    return DataPlaneAny(type_url=known.type_url, value=known.value)


def packed_struct(type_name: str, fields: Mapping[str, JsonValue]) -> ProtoAny:
    """The same, for what is protobuf's own."""
    struct = typed_struct_pb.TypedStruct(type_url=TYPE_PREFIX + type_name)
    struct.value.update(dict(fields))
    return packed(struct)


def seconds(value: float) -> Duration:
    """A duration to the microsecond."""
    duration = Duration()
    duration.FromMicroseconds(round(value * 1_000_000))
    return duration
